import type { LeaseId } from '../domain/ids.ts';
import type { Lease } from '../domain/lease.ts';
import type { Secret } from '../domain/secret.ts';
import type { Task } from '../domain/task.ts';
import { backoff } from './backoff.ts';
import type { RevokeContext } from './lease-context.ts';
import { createLimiter } from './limit-concurrency.ts';
import { attemptRevoke, faultText, markRevoking } from './revoke-lease.ts';

export interface RevocationFacts {
  /** Whether the issue call is known to have come back with a credential: then one successful revoke settles it. */
  readonly isIssued: boolean;
  readonly task?: Task | undefined;
  /** Where it is at hand; else it is read from the row. */
  readonly handle?: Secret | undefined;
}

/** Revocations under way. Each goes on until the downstream has confirmed it, however long that takes (L4). */
export interface Revocations {
  /**
   * Begins, or joins what is under way; a late certainty that it was issued starts a new round.
   * @returns the lease as it stands after the first attempt: ended, lapsing, or still revoking
   */
  start(lease: Lease, reason: string, facts: RevocationFacts): Promise<Lease>;
  /** Resolves like `start` for a lease that is being revoked; undefined for another. */
  find(lease: LeaseId): Promise<Lease> | undefined;
  /** How many are not confirmed yet. */
  readonly size: number;
  /** No more attempts; the rows stay `revoking` for the next start. */
  stop(): void;
}

interface Job {
  readonly lease: Lease;
  readonly reason: string;
  task: Task | undefined;
  handle: Secret | undefined;
  isIssued: boolean;
  isMarked: boolean;
  isRunning: boolean;
  attempts: number;
  failures: number;
  state: Lease;
  cancelTimer: (() => void) | undefined;
  readonly first: Promise<void>;
  readonly endFirst: () => void;
}

export function createRevocations(context: RevokeContext, onSettled: (lease: Lease) => void): Revocations {
  const { limits, clock, schedule, random, log } = context;
  const jobs = new Map<LeaseId, Job>();
  const limit = createLimiter(limits.revokesAtOnce);
  let isStopped = false;

  async function run(job: Job): Promise<void> {
    job.isRunning = true;
    job.cancelTimer?.();
    job.cancelTimer = undefined;
    await limit(job.lease.connector, async () => {
      if (!isStopped) await attempt(job);
    });
    job.isRunning = false;
    job.endFirst();
  }

  async function attempt(job: Job): Promise<void> {
    // Judged before the call: what became certain during it needs another one.
    const wasIssued = job.isIssued;
    const settlesAt = job.lease.issueDeadline + limits.skewMs;
    const isConclusive = wasIssued || clock() >= settlesAt;
    await mark(job);
    job.attempts++;
    const outcome = await attemptRevoke(context, job.lease, job.task, job.reason, {
      isConclusive,
      number: job.attempts,
      handle: job.handle,
    });
    if (job.isIssued && !wasIssued) return again(job, 0);
    if (outcome.kind === 'done') {
      job.handle?.wipe();
      job.state = outcome.lease;
      jobs.delete(job.lease.id);
      onSettled(outcome.lease);
      return;
    }
    if (outcome.kind === 'unsettled') return again(job, Math.max(1, settlesAt - clock()));
    job.failures++;
    job.state = { ...job.state, attempts: job.attempts, lastError: outcome.error };
    again(job, backoff(job.failures, limits.retryMs, limits.retryCapMs, random));
  }

  /** Durable before the downstream is asked; a store that cannot serve must not keep a credential alive, though. */
  async function mark(job: Job): Promise<void> {
    if (job.isMarked) return;
    try {
      await markRevoking(context, job.lease, job.reason, job.handle);
      job.isMarked = true;
    } catch (error) {
      log.error({ lease: job.lease.id, error: faultText(error) }, 'the store does not take the state of a lease');
    }
  }

  function again(job: Job, ms: number): void {
    if (isStopped) return;
    job.cancelTimer = schedule(ms, () => void run(job));
  }

  function createJob(lease: Lease, reason: string, facts: RevocationFacts): Job {
    let endFirst = () => {};
    const first = new Promise<void>((resolve) => {
      endFirst = resolve;
    });
    const { isIssued, task, handle } = facts;
    const state: Lease = { ...lease, state: 'revoking', endReason: reason };
    const counters = { isMarked: false, isRunning: false, attempts: lease.attempts, failures: 0 };
    return { lease, reason, task, handle, isIssued, state, ...counters, cancelTimer: undefined, first, endFirst };
  }

  return {
    get size() {
      return jobs.size;
    },
    async start(lease, reason, facts) {
      let job = jobs.get(lease.id);
      if (job === undefined) {
        job = createJob(lease, reason, facts);
        jobs.set(lease.id, job);
        void run(job);
      } else if (facts.isIssued && !job.isIssued) {
        job.isIssued = true;
        job.task ??= facts.task;
        // Stored with the next mark, then asked for again with it.
        if (facts.handle !== undefined) {
          job.handle = facts.handle;
          job.isMarked = false;
        }
        if (!job.isRunning) void run(job);
      }
      await job.first;
      return job.state;
    },
    find(id) {
      const job = jobs.get(id);
      return job?.first.then(() => job.state);
    },
    stop() {
      isStopped = true;
      for (const job of jobs.values()) job.cancelTimer?.();
    },
  };
}
