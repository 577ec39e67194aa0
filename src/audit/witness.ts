import { messageOf } from '../domain/errors.ts';
import type { TenantId } from '../domain/ids.ts';
import type { SeenHead, TrailHead } from '../domain/trail-head.ts';
import type { Clock, Log, Schedule } from '../seams/clock.ts';
import type { TrailHeadRepository } from '../seams/shared-store.ts';
import type { Recorder } from './recorder.ts';
import type { TrailState } from './trail-state.ts';

/** A journal that moved by one record only may have done so by having seen ours: it is told so late, or two idle nodes would keep each other awake. */
const IDLE_MS = 3_600_000;

export interface Witness {
  start(): void;
  /** Looks now. Never throws. */
  look(): Promise<void>;
  stop(): Promise<void>;
}

/**
 * Records now and then the newest checkpoints of the other nodes in this node's journal, where they moved: whoever rolls another's journal back has to
 * change this one too, and those that have seen it. What the store has lost of them since is put back: each is signed, and its node finds it.
 */
export function createWitness(parts: {
  tenant: TenantId;
  /** This node's name. */
  node: string;
  repository: Pick<TrailHeadRepository, 'list' | 'publish'>;
  recorder: Pick<Recorder, 'record'>;
  /** As a start found it. */
  state: Pick<TrailState, 'heads'>;
  /** Whether a checkpoint is of the log that it says, and its signature holds. */
  isSigned: (head: TrailHead) => boolean;
  everyMs: number;
  monotonic: Clock;
  schedule: Schedule;
  log: Log;
}): Witness {
  const { tenant, node, repository, recorder, isSigned, everyMs, monotonic, schedule, log } = parts;
  /** The newest of each that was recorded here. */
  const known = new Map(parts.state.heads);
  const seenAt = new Map<string, number>();
  const strange = new Set<string>();
  let looking: Promise<void> | undefined;
  let cancel = (): void => {};
  let isStopped = true;

  async function lookOnce(): Promise<void> {
    const stored = (await repository.list(tenant)).filter((head) => head.node !== node);
    const now = monotonic();
    const moved: SeenHead[] = [];
    for (const head of stored) {
      const { tenant: _, ...seen } = head;
      if (!hasMoved(seen, now)) continue;
      if (isSigned(head)) moved.push(seen);
      else if (!strange.has(head.origin)) {
        // Whoever can write to the store can make up a node: it is said, and seen as nothing.
        strange.add(head.origin);
        log.error(
          { node: head.node, origin: head.origin },
          'a checkpoint in the store is not signed by the key it names',
        );
      }
    }
    if (moved.length > 0) {
      const seen = moved.map(({ origin: _, ...head }) => head);
      await recorder.record({ type: 'checkpoint_seen', detail: { seen } });
      for (const head of moved) {
        seenAt.set(head.origin, now);
        known.set(head.origin, head);
      }
    }
    await putBack(stored);
  }

  function hasMoved({ origin, size, checkpoint }: SeenHead, now: number): boolean {
    const last = known.get(origin);
    if (last === undefined || size > last.size + 1) return true;
    // Two heads of one size and another root are what only a forked log has: that it was signed belongs on the record.
    if (size === last.size) return checkpoint !== last.checkpoint;
    return size > last.size && now - (seenAt.get(origin) ?? now) >= IDLE_MS;
  }

  async function putBack(stored: readonly TrailHead[]): Promise<void> {
    const sizes = new Map(stored.map(({ origin, size }) => [origin, size]));
    for (const head of known.values()) {
      const size = sizes.get(head.origin) ?? -1;
      if (size >= head.size || head.node === node) continue;
      log.error(
        { node: head.node, origin: head.origin, stored: size, seen: head.size },
        'the store has an older checkpoint of another node than this one has seen: it is put back',
      );
      await repository.publish({ tenant, ...head });
    }
  }

  function look(): Promise<void> {
    looking ??= lookOnce()
      .catch((error: unknown) => log.warn({ error: messageOf(error) }, 'checkpoints of other nodes could not be seen'))
      .finally(() => {
        looking = undefined;
      });
    return looking;
  }

  function tick(): void {
    cancel = schedule(everyMs, tick);
    void look();
  }

  return {
    start() {
      isStopped = false;
      const now = monotonic();
      for (const origin of known.keys()) seenAt.set(origin, now);
      tick();
    },
    look,
    async stop() {
      if (isStopped) return;
      isStopped = true;
      cancel();
      await looking;
    },
  };
}
