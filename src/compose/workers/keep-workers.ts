import type { Clock, Log, Schedule } from '../../seams/clock.ts';

/** What a worker says once it has started. */
export interface Told {
  readonly event: 'serving' | 'revoke_only';
  readonly url: string;
  /** Where that is not `url`. */
  readonly listens?: string | undefined;
  readonly tools: number;
  readonly undescribed: number;
  readonly problems: readonly string[];
  /** Of `revoke_only`. */
  readonly reason?: string;
  readonly wayOn?: string;
}

/** A process of one worker. */
export interface WorkerProcess {
  readonly pid: number | undefined;
  /** Never resolves where it ends before. */
  readonly told: Promise<Told>;
  /** With its exit code; undefined: it was killed, or never ran. */
  readonly ended: Promise<number | undefined>;
  kill(signal: 'SIGTERM' | 'SIGKILL'): void;
}

export interface StartedWorker extends Told {
  readonly worker: number;
  readonly pid: number | undefined;
}

export interface Workers {
  /** Starts all of them. @returns what each has said, or the exit code of one that could not start: then none runs */
  start(): Promise<readonly StartedWorker[] | number>;
  /** Ends them, calls under way first. Idempotent. */
  stop(): Promise<void>;
}

/** The first wait before a worker that has ended is started again; doubled each time that it ends soon. Milliseconds. */
const FIRST_WAIT_MS = 500;
const LONGEST_WAIT_MS = 30_000;

/** Who has served for so long has not ended soon. */
const STEADY_MS = 60_000;

/** One that has not stopped by then, with all that draining and revoking may take, is killed: the others see to what it left. */
export const STOP_MS = 60_000;

interface Slot {
  readonly process: WorkerProcess;
  /** By the monotonic clock; undefined while it starts. */
  since: number | undefined;
  isServing: boolean;
}

/**
 * Keeps workers running. One that cannot even start the first time ends all, so that its error is seen; later ones are tried again and again.
 * @param fork starts one; `isFirst`: nobody serves yet, so that it may listen where all do before it serves
 */
export function keepWorkers(parts: {
  count: number;
  fork: (worker: number, isFirst: boolean) => WorkerProcess;
  schedule: Schedule;
  monotonic: Clock;
  log: Log;
}): Workers {
  const { count, fork, schedule, monotonic, log } = parts;
  const running = new Map<number, Slot>();
  const waits = new Map<number, number>();
  const waiting = new Map<number, () => void>();
  let isKept = false;
  let stopping: Promise<void> | undefined;

  async function begin(worker: number): Promise<StartedWorker | number> {
    const isFirst = ![...running.values()].some(({ isServing }) => isServing);
    const process = fork(worker, isFirst);
    const slot: Slot = { process, since: undefined, isServing: false };
    running.set(worker, slot);
    const ended = process.ended.then((code) => {
      running.delete(worker);
      if (isKept && stopping === undefined) startAgain(worker, slot, code);
      return code ?? 1;
    });
    const told = await Promise.race([process.told, ended]);
    if (typeof told === 'number') return told;
    slot.since = monotonic();
    slot.isServing = told.event === 'serving';
    return { worker, pid: process.pid, ...told };
  }

  function startAgain(worker: number, { since }: Slot, code: number | undefined): void {
    const isSteady = since !== undefined && monotonic() - since >= STEADY_MS;
    const before = waits.get(worker);
    const wait = before === undefined || isSteady ? FIRST_WAIT_MS : Math.min(before * 2, LONGEST_WAIT_MS);
    waits.set(worker, wait);
    log.warn({ worker, code, seconds: wait / 1000 }, 'a worker has ended: it is started again');
    const again = (): void => {
      waiting.delete(worker);
      void begin(worker).then((told) => {
        if (typeof told !== 'number') log.info({ worker, pid: told.pid }, 'a worker is there again');
      });
    };
    waiting.set(worker, schedule(wait, again));
  }

  async function stopAll(): Promise<void> {
    for (const cancel of waiting.values()) cancel();
    const left = [...running.values()].map(({ process }) => process);
    for (const process of left) process.kill('SIGTERM');
    const cancel = schedule(STOP_MS, () => {
      for (const process of left) process.kill('SIGKILL');
    });
    await Promise.all(left.map(({ ended }) => ended));
    cancel();
  }

  function stop(): Promise<void> {
    stopping ??= stopAll();
    return stopping;
  }

  return {
    async start() {
      const told: StartedWorker[] = [];
      // One after the other until one serves: migrations are made once, and whoever starts beside others listens only when it serves.
      for (let worker = 1; worker <= count && stopping === undefined; ) {
        const isFirst = !told.some(({ event }) => event === 'serving');
        const those = isFirst ? [worker] : Array.from({ length: count - worker + 1 }, (_, more) => worker + more);
        const results = await Promise.all(those.map(begin));
        const failed = results.find((result) => typeof result === 'number');
        if (failed !== undefined) {
          await stop();
          return failed;
        }
        told.push(...results.filter((result) => typeof result !== 'number'));
        worker += those.length;
      }
      isKept = true;
      return told;
    },
    stop,
  };
}
