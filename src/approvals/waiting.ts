import { type Approval, isOpen } from '../domain/approval.ts';
import type { Cancellation } from '../domain/cancellation.ts';
import type { ApprovalId, TaskId } from '../domain/ids.ts';
import type { Clock, Schedule } from '../seams/clock.ts';

/** How a wait came to its end: the approval as it stands, or why nobody waits any more. */
export type Waited = Approval | 'gone' | 'late' | 'barred' | 'stopping';

/** Calls that wait for their approvals, in this process. */
export interface Waiting {
  /** @param limitMs longest wait; the approval's own end comes first where it is sooner */
  wait(approval: Approval, limitMs: number, cancellation: Cancellation): Promise<Waited>;
  /** An approval is open no more, or is approved: who waits for it goes on. */
  settle(approval: Approval): void;
  /** At once, whatever the store says. */
  bar(task: TaskId): void;
  /** There may be verdicts that another process took: looks for them without waiting for the time to. */
  lookNow(): void;
  /** Those that wait now, for whoever looks for news. */
  readonly ids: ReadonlySet<ApprovalId>;
  close(): void;
}

interface Waiter {
  readonly approval: Approval;
  readonly end: (how: Waited) => void;
}

/** Verdicts that other processes took are looked for this often, by one timer for all. */
const LOOK_MS = 1_000;

/** @param look the approval as it stands in the store; a failing look is tried again */
export function createWaiting(parts: {
  readonly clock: Clock;
  readonly schedule: Schedule;
  readonly look: (id: ApprovalId) => Promise<Approval | undefined>;
}): Waiting {
  const { clock, schedule, look } = parts;
  const waiters = new Map<ApprovalId, Set<Waiter>>();
  let isLooking = false;
  let isClosed = false;

  function endAll(id: ApprovalId, how: Waited): void {
    for (const waiter of [...(waiters.get(id) ?? [])]) waiter.end(how);
  }

  async function lookAll(): Promise<void> {
    for (const id of [...waiters.keys()]) {
      const found = await look(id).catch(() => undefined);
      if (found !== undefined) settle(found);
    }
  }

  function lookLater(): void {
    if (isLooking) return;
    isLooking = true;
    schedule(LOOK_MS, () => {
      void lookAll().then(() => {
        isLooking = false;
        if (waiters.size > 0) lookLater();
      });
    });
  }

  function settle(approval: Approval): void {
    const isOver = !isOpen(approval) || clock() >= approval.expiresAt;
    if (approval.state === 'approved' || isOver) endAll(approval.id, approval);
  }

  return {
    wait(approval, limitMs, cancellation) {
      if (isClosed) return Promise.resolve('stopping');
      if (cancellation.isCancelled) return Promise.resolve('gone');
      return new Promise((resolve) => {
        const { id } = approval;
        const own = waiters.get(id) ?? new Set();
        const onCancel = (): void => waiter.end('gone');
        const waiter: Waiter = {
          approval,
          end(how) {
            if (!own.delete(waiter)) return;
            if (own.size === 0) waiters.delete(id);
            cancelTimer();
            cancellation.offCancel(onCancel);
            resolve(how);
          },
        };
        own.add(waiter);
        waiters.set(id, own);
        const cancelTimer = schedule(limitMs, () => waiter.end('late'));
        cancellation.onCancel(onCancel);
        lookLater();
      });
    },
    settle,
    lookNow: () => void lookAll(),
    bar(task) {
      for (const [id, own] of waiters) {
        for (const { approval } of own) if (approval.task === task) endAll(id, 'barred');
      }
    },
    get ids() {
      return new Set(waiters.keys());
    },
    close() {
      isClosed = true;
      for (const id of [...waiters.keys()]) endAll(id, 'stopping');
    },
  };
}
