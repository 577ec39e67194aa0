import { expect, it } from 'vitest';
import { keepWorkers, type Told, type WorkerProcess } from '../../src/compose/workers/keep-workers.ts';

interface FakeWorker {
  readonly worker: number;
  readonly isFirst: boolean;
  readonly signals: string[];
  tell(event?: Told['event']): void;
  end(code?: number): void;
}

const settle = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

function bench(count: number) {
  const forked: FakeWorker[] = [];
  const warned: object[] = [];
  let timers: { at: number; task: () => void }[] = [];
  let now = 0;
  const fork = (worker: number, isFirst: boolean): WorkerProcess => {
    let tell: (told: Told) => void = () => {};
    let end: (code: number | undefined) => void = () => {};
    const signals: string[] = [];
    const told = new Promise<Told>((resolve) => {
      tell = resolve;
    });
    const ended = new Promise<number | undefined>((resolve) => {
      end = resolve;
    });
    forked.push({
      worker,
      isFirst,
      signals,
      tell: (event = 'serving') => tell({ event, url: 'http://x', tools: 1, undescribed: 0, problems: [] }),
      end: (code) => end(code),
    });
    return { pid: 100 + forked.length, told, ended, kill: (signal) => void signals.push(signal) };
  };
  const log = { debug() {}, info() {}, warn: (fields: object) => void warned.push(fields), error() {} };
  const workers = keepWorkers({
    count,
    fork,
    log,
    monotonic: () => now,
    schedule(ms, task) {
      const timer = { at: now + ms, task };
      timers.push(timer);
      return () => {
        timers = timers.filter((one) => one !== timer);
      };
    },
  });
  async function advance(ms: number): Promise<void> {
    now += ms;
    const due = timers.filter(({ at }) => at <= now);
    timers = timers.filter(({ at }) => at > now);
    for (const { task } of due) task();
    await settle();
  }
  const last = (): FakeWorker => forked.at(-1) as FakeWorker;
  return { workers, forked, warned, advance, last };
}

it('the first serves before the others are started, and alone listens before it serves', async () => {
  const { workers, forked } = bench(3);
  const started = workers.start();
  await settle();
  expect(forked.map(({ worker, isFirst }) => [worker, isFirst])).toEqual([[1, true]]);
  forked[0]?.tell();
  await settle();
  expect(forked.map(({ worker, isFirst }) => [worker, isFirst])).toEqual([
    [1, true],
    [2, false],
    [3, false],
  ]);
  forked[1]?.tell();
  forked[2]?.tell();
  expect((await started) as object[]).toHaveLength(3);
});

it('after one whose journal is damaged the next is the first to serve', async () => {
  const { workers, forked } = bench(2);
  const started = workers.start();
  forked[0]?.tell('revoke_only');
  await settle();
  expect(forked[1]).toMatchObject({ worker: 2, isFirst: true });
  forked[1]?.tell();
  expect(await started).toMatchObject([{ event: 'revoke_only' }, { event: 'serving' }]);
});

it('one that cannot start ends all, with its exit code', async () => {
  const { workers, forked } = bench(2);
  const started = workers.start();
  forked[0]?.tell();
  await settle();
  forked[1]?.end(6);
  await settle();
  expect(forked[0]?.signals).toEqual(['SIGTERM']);
  forked[0]?.end(0);
  expect(await started).toBe(6);
});

it('one that ends is started again, each time later, and soon again once it has served for long', async () => {
  const { workers, forked, advance, last, warned } = bench(2);
  const started = workers.start();
  forked[0]?.tell();
  await settle();
  forked[1]?.tell();
  await started;
  for (const wait of [500, 1_000, 2_000, 4_000, 8_000, 16_000, 30_000, 30_000]) {
    const before = forked.length;
    last().end();
    await settle();
    expect(warned.at(-1)).toMatchObject({ worker: 2, seconds: wait / 1000 });
    await advance(wait - 1);
    expect(forked).toHaveLength(before);
    await advance(1);
    expect(forked).toHaveLength(before + 1);
    expect(last()).toMatchObject({ worker: 2, isFirst: false });
  }
  last().tell();
  await settle();
  await advance(60_000);
  last().end();
  await settle();
  expect(warned.at(-1)).toMatchObject({ seconds: 0.5 });
});

it('the only one is the first again when it is started again', async () => {
  const { workers, forked, advance, last } = bench(1);
  const started = workers.start();
  forked[0]?.tell();
  await started;
  forked[0]?.end();
  await settle();
  await advance(500);
  expect(forked).toHaveLength(2);
  expect(last().isFirst).toBe(true);
});

it('a stop ends all, starts none again, and kills who does not end', async () => {
  const { workers, forked, advance } = bench(2);
  const started = workers.start();
  forked[0]?.tell();
  await settle();
  forked[1]?.tell();
  await started;
  const stopping = workers.stop();
  expect(forked.map(({ signals }) => signals)).toEqual([['SIGTERM'], ['SIGTERM']]);
  forked[0]?.end(0);
  await settle();
  await advance(60_000);
  expect(forked[1]?.signals).toEqual(['SIGTERM', 'SIGKILL']);
  forked[1]?.end();
  await stopping;
  expect(forked).toHaveLength(2);
});

it('a stop while they start begins no more', async () => {
  const { workers, forked } = bench(3);
  void workers.start();
  const stopping = workers.stop();
  forked[0]?.tell();
  await settle();
  forked[0]?.end(0);
  await stopping;
  await settle();
  expect(forked).toHaveLength(1);
});
