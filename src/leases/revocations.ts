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
  /** Whether to take the lease from whoever has claimed it: an order, or knowledge that no row has. */
  readonly isTaking?: boolean;
  readonly task?: Task | undefined;
  /** Where it is at hand; else it is read from the row. */
  readonly handle?: Secret | undefined;
  /** Calls made with it. */
  readonly uses?: number;
}

/** Revocations under way. Each goes on until the downstream has confirmed it, however long that takes (L4). */
export interface Revocations {
  /**
   * Begins, or joins the attempt that is under way; one that waits after a failure is tried at once, since somebody wants it now. A late certainty that it was
   * issued starts a new round.
   * @returns the lease as it stands after that attempt: ended, lapsing, or still revoking
   */
  start(lease: Lease, reason: string, facts: RevocationFacts): Promise<Lease>;
  /** Resolves like `start` for a lease that is being revoked; undefined for another. */
  find(lease: LeaseId): Promise<Lease> | undefined;
  /** Tries at once what waits after a failure, and resolves with what has failed before, as it stands after that. */
  retry(matches: (lease: Lease) => boolean): Promise<Lease[]>;
  has(lease: LeaseId): boolean;
  /** How many are not confirmed yet. */
  readonly size: number;
  /** No more attempts; the rows stay `revoking` for the next start. */
  stop(): void;
}

interface Job {
  /** As it was handed over, under the claim that holds now. */
  lease: Lease;
  readonly reason: string;
  readonly uses: number | undefined;
  task: Task | undefined;
  handle: Secret | undefined;
  isIssued: boolean;
  isTaking: boolean;
  isMarked: boolean;
  isRunning: boolean;
  attempts: number;
  failures: number;
  state: Lease;
  cancelTimer: (() => void) | undefined;
  /** The attempt under way, or the last one. */
  latest: Promise<void>;
}

export function createRevocations(context: RevokeContext, onSettled: (lease: Lease) => void): Revocations {
  const { limits, clock, schedule, random, log } = context;
  const jobs = new Map<LeaseId, Job>();
  const limit = createLimiter(limits.revokesAtOnce);
  let isStopped = false;

  function run(job: Job): void {
    job.latest = attemptInTurn(job);
  }

  async function attemptInTurn(job: Job): Promise<void> {
    job.isRunning = true;
    job.cancelTimer?.();
    job.cancelTimer = undefined;
    await limit(job.lease.downstream, async () => {
      if (!isStopped) await attempt(job);
    });
    job.isRunning = false;
  }

  async function attempt(job: Job): Promise<void> {
    // Judged before the call: what became certain during it needs another one.
    const wasIssued = job.isIssued;
    const settlesAt = job.lease.issueDeadline + limits.skewMs;
    const isConclusive = wasIssued || clock() >= settlesAt;
    if (!(await mark(job))) return lose(job);
    job.attempts++;
    const outcome = await attemptRevoke(context, job.lease, job.task, job.reason, {
      isConclusive,
      number: job.attempts,
      handle: job.handle,
      claimAfterFailure: () => claimUntil(clock() + limits.retryCapMs),
    });
    if (job.isIssued && !wasIssued) return again(job, 0);
    switch (outcome.kind) {
      case 'done':
        forget(job);
        job.state = outcome.lease;
        onSettled(outcome.lease);
        return;
      case 'lost':
        return lose(job);
      case 'unsettled':
        return again(job, Math.max(1, settlesAt - clock()));
      case 'failed':
        job.failures++;
        job.lease = { ...job.lease, failingSince: job.lease.failingSince ?? clock() };
        job.state = { ...job.state, attempts: job.attempts, lastError: outcome.error };
        again(job, backoff(job.failures, limits.retryMs, limits.retryCapMs, random));
    }
  }

  /**
   * Durable before the downstream is asked; a store that cannot serve must not keep a credential alive, though.
   * @returns false when another process has claimed the lease
   */
  async function mark(job: Job): Promise<boolean> {
    if (job.isMarked) return true;
    const { lease, reason, handle, isTaking, uses } = job;
    const claimedUntil = claimUntil(Math.max(clock(), lease.issueDeadline + limits.skewMs));
    try {
      const marked = await markRevoking(context, lease, { reason, handle, isTaking, uses, claimedUntil });
      if (marked === undefined) return false;
      job.lease = marked;
      job.isMarked = true;
    } catch (error) {
      log.error({ lease: lease.id, error: faultText(error) }, 'the store does not take the state of a lease');
    }
    return true;
  }

  /** Ours until the attempt that is made at this time is over. */
  const claimUntil = (at: number): number => at + limits.revokeMs + limits.skewMs;

  /** What another process makes of the lease stands; should it fail to, its claim ends and a sweep goes on. */
  async function lose(job: Job): Promise<void> {
    forget(job);
    const row = await context.repository.get(job.lease.tenant, job.lease.id).catch(() => undefined);
    if (row === undefined) return;
    job.state = row;
    onSettled(row);
  }

  function forget(job: Job): void {
    jobs.delete(job.lease.id);
    job.handle?.wipe();
  }

  function again(job: Job, ms: number): void {
    if (isStopped) return;
    job.cancelTimer = schedule(ms, () => run(job));
  }

  function createJob(lease: Lease, reason: string, facts: RevocationFacts): Job {
    const { isIssued, isTaking = false, task, handle, uses } = facts;
    const state: Lease = { ...lease, state: 'revoking', endReason: reason };
    const counters = { isMarked: false, isRunning: false, attempts: lease.attempts, failures: 0 };
    const facing = { lease, reason, uses, task, handle, isIssued, isTaking, state };
    return { ...facing, ...counters, cancelTimer: undefined, latest: Promise.resolve() };
  }

  function learn(job: Job, facts: RevocationFacts): void {
    job.isIssued = true;
    job.isTaking ||= facts.isTaking === true;
    job.task ??= facts.task;
    job.handle ??= facts.handle;
    // Marked anew: the attempt under way may just be ending it, and its handle is on no row yet.
    job.isMarked = false;
    if (!job.isRunning) run(job);
  }

  function hasten(job: Job): void {
    if (job.failures > 0 && !job.isRunning) run(job);
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
        run(job);
      } else if (facts.isIssued && !job.isIssued) learn(job, facts);
      else hasten(job);
      await job.latest;
      return job.state;
    },
    find(id) {
      const job = jobs.get(id);
      return job?.latest.then(() => job.state);
    },
    has: (id) => jobs.has(id),
    retry(matches) {
      const failed = [...jobs.values()].filter((job) => job.failures > 0 && matches(job.lease));
      for (const job of failed) hasten(job);
      return Promise.all(failed.map((job) => job.latest.then(() => job.state)));
    },
    stop() {
      isStopped = true;
      for (const job of jobs.values()) job.cancelTimer?.();
    },
  };
}
