import { markTrail, neededFrom } from '../../audit/mark-trail.ts';
import { planRetention } from '../../audit/plan-retention.ts';
import type { Recorder } from '../../audit/recorder.ts';
import type { Shipper } from '../../audit/ship-segments.ts';
import type { TrailState } from '../../audit/trail-state.ts';
import type { RowWriter } from '../../audit/write-rows.ts';
import { messageOf } from '../../domain/errors.ts';
import type { SegmentedJournal } from '../../seams/journal.ts';
import type { TaskRegistry } from '../../tasks/task-registry.ts';
import { repeat } from '../repeat.ts';
import type { Workspace } from '../workspace.ts';
import { openRows } from './open-rows.ts';
import { journalOrigin, openShipper } from './open-shipper.ts';
import { openWitness } from './open-witness.ts';
import { administrator } from './record-administration.ts';
import type { RotatedTrail } from './rotate-trail.ts';

export interface TrailKeeper {
  /** Finishes a removal that a crash cut short, and marks where the next start goes on from. */
  start(): Promise<void>;
  /** The journal has begun another segment. */
  segmentBegun(): void;
  /** Ends the current segment now, with everything that follows when one is full. */
  rotate(): Promise<RotatedTrail>;
  /** How many records are not yet where they are copied to, by what that is. */
  behind(): Readonly<Record<string, number>>;
  /** A last mark. */
  stop(): Promise<void>;
}

const EVERY_MS = 600_000;
const HOUR_MS = 3_600_000;
const MIB = 1024 * 1024;

/**
 * Keeps the trail from growing without end, and a start from having to read all of it: a mark at the start, in each new segment and at the stop;
 * segments end at an age; what is older than is to be kept is removed, on record first.
 */
export function keepTrail(parts: {
  workspace: Workspace;
  journal: SegmentedJournal;
  recorder: Recorder;
  state: TrailState;
  tasks: Pick<TaskRegistry, 'live'>;
}): TrailKeeper {
  const { workspace, journal, recorder, state, tasks } = parts;
  const { store, estate, config, system, loaded } = workspace;
  const { segmentHours, keepDays, keepMiB } = config.journal;
  const keep = { days: keepDays, bytes: keepMiB === undefined ? undefined : keepMiB * MIB };
  const { log, schedule } = system;
  const started = { wall: system.clock(), monotonic: system.monotonic() };
  const witness = openWitness(workspace, recorder, state);
  let shipper: Shipper | undefined;
  let rows: RowWriter | undefined;
  let working: Promise<void> = Promise.resolve();
  let isMarking = false;
  let isHeldKnown = false;
  let stopRepeating: (() => void) | undefined;

  /** A clock that jumps ahead while the gateway runs makes nothing older. */
  const now = (): number => Math.min(system.clock(), started.wall + Math.ceil(system.monotonic() - started.monotonic));

  async function mark(): Promise<void> {
    isMarking = true;
    try {
      await markTrail({
        journal,
        recorder,
        state,
        async owing() {
          const states = ['intended', 'active', 'revoking', 'lapsing'] as const;
          return new Set((await store.leases.list(estate.tenant, { states })).map(({ task }) => task));
        },
        async withoutEnd(going) {
          const live = new Set(tasks.live().map(({ id }) => id));
          // One that is starting is not live yet: its row is there before its first record.
          const rows = going.filter((id) => !live.has(id)).map((id) => store.tasks.get(estate.tenant, id));
          return (await Promise.all(rows)).flatMap((row) => (row?.state === 'ended' ? [row.id] : []));
        },
      });
    } finally {
      isMarking = false;
    }
  }

  async function letGo(): Promise<void> {
    if (keepDays === undefined && keepMiB === undefined) return;
    const segments = await journal.segments();
    const { before, isHeld } = planRetention({
      segments,
      keep,
      needed: Math.min(neededFrom(state), shipper?.shippedBefore() ?? Number.POSITIVE_INFINITY),
      now: now(),
    });
    if (isHeld && !isHeldKnown) {
      log.warn(
        {},
        'more of the trail is kept than is configured: a task or a credential that is alive needs it, or it is not shipped yet',
      );
    }
    isHeldKnown = isHeld;
    if (before === 0) return;
    const removed = await journal.removeBefore(before, async (removal) => {
      const gone = segments.filter(({ end }) => end <= removal.end);
      const behind = segments[gone.length];
      await recorder.record({
        type: 'records_removed',
        detail: {
          ...removal,
          ...(gone[0] !== undefined && { since: timeText(gone[0].begunAt) }),
          ...(behind !== undefined && { until: timeText(behind.begunAt) }),
          keep: { ...(keepDays !== undefined && { days: keepDays }), ...(keepMiB !== undefined && { MiB: keepMiB }) },
          configuration: loaded.path,
          by: administrator(),
        },
      });
    });
    if (removed !== undefined) log.info({ ...removed }, 'records were removed that are not to be kept any longer');
  }

  /** What was closed is shipped once it is under a signature. */
  async function ship(): Promise<void> {
    if (shipper === undefined) return;
    await journal.checkpoint();
    shipper.wake();
  }

  async function work(): Promise<void> {
    const current = (await journal.segments()).at(-1);
    const isAged = current !== undefined && current.begunAt + segmentHours * HOUR_MS <= now();
    // A segment that holds a mark alone is not worth another one.
    if (isAged && current.end - current.first > 1) {
      journal.endSegment();
      await mark();
    }
    await letGo();
    // What is shipped of a segment has all that there were over it.
    const dropped = await journal.thinCheckpoints(shipper?.shippedBefore() ?? Number.POSITIVE_INFINITY);
    if (dropped > 0) log.info({ dropped }, 'checkpoints were let go of that later ones of the same segment stand for');
  }

  /** One after the other. What fails is logged: a journal that has failed stops the gateway by itself. */
  function inTurn(what: () => Promise<void>): Promise<void> {
    const next = working.then(what);
    working = next.catch((error: unknown) =>
      log.error(
        { error: messageOf(error) },
        'the trail could not be marked, or its old part removed; it is tried again',
      ),
    );
    return next;
  }

  const quietly = (what: () => Promise<void>): Promise<void> => inTurn(what).catch(() => undefined);

  return {
    async start() {
      await inTurn(async () => {
        const oldest = (await journal.segments())[0]?.first ?? 0;
        // Announced, and not done before a crash.
        if (oldest < state.removedBefore) await journal.removeBefore(state.removedBefore, async () => {});
        await mark();
      });
      shipper = await openShipper({ workspace, recorder, state, onShipped: () => void quietly(letGo) });
      rows = await openRows(workspace, () => journalOrigin(workspace.places.journal));
      rows?.start();
      await quietly(work);
      await quietly(ship);
      stopRepeating = repeat(schedule, EVERY_MS, () => quietly(work));
      witness?.start();
    },
    segmentBegun() {
      // By a mark itself: it is in the new segment.
      if (isMarking || stopRepeating === undefined) return;
      void quietly(async () => {
        await mark();
        await work();
        await ship();
      });
    },
    async rotate() {
      let first = 0;
      await inTurn(async () => {
        journal.endSegment();
        await mark();
        first = (await journal.segments()).at(-1)?.first ?? 0;
        await work();
        await ship();
      });
      return { first };
    },
    behind: () => ({
      ...(shipper !== undefined && { archive: journal.size - shipper.shippedBefore() }),
      ...(rows !== undefined && { rows: journal.size - (rows.next() ?? 0) }),
    }),
    async stop() {
      stopRepeating?.();
      stopRepeating = undefined;
      await Promise.all([witness?.stop(), shipper?.stop(), rows?.stop()]);
      await quietly(mark);
    },
  };
}

const timeText = (at: number): string => new Date(at).toISOString();
