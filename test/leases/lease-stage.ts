import { randomBytes } from 'node:crypto';
import type { LeaseMode, RevocationClass } from '../../src/domain/lease.ts';
import type { IssuerBinding, LeaseEvent } from '../../src/leases/lease-context.ts';
import { createLeaseManager, type LeaseManager } from '../../src/leases/lease-manager.ts';
import { reapLeases } from '../../src/leases/reap.ts';
import type { LeaseClaims, LeaseRepository } from '../../src/seams/store.ts';
import { createFakeIssuer, issueFault, revokeFault } from '../support/fake-issuer.ts';
import { createWorld } from './lease-world.ts';

/** When an issue call's object appears and when its reply comes, milliseconds after the call; undefined is never. */
export interface IssuePlan {
  readonly commitsAfter: number | undefined;
  readonly repliesAfter: number | undefined;
  readonly isRefused: boolean;
}
export interface RevokePlan {
  readonly removesAfter: number | undefined;
  readonly repliesAfter: number | undefined;
}

export interface StageOptions {
  readonly revocation: RevocationClass;
  readonly mode: LeaseMode;
  readonly hasHandles: boolean;
}

/** Issue deadline plus skew: what the downstream has not done by then it never does (L4's premise). */
export const SETTLED_MS = 15_000;

/** A process that can be killed, and stopped and continued as by SIGSTOP and SIGCONT. */
export interface StagedProcess {
  readonly manager: LeaseManager;
  kill(): void;
  stop(): void;
  go(): void;
}

const never = () => new Promise<never>(() => {});
let processes = 0;

/** Processes over one store and one downstream, each of which can fail in the middle of anything. What must never happen is noted in `broken`. */
export function createStage({ revocation, mode, hasHandles }: StageOptions) {
  const issuer = createFakeIssuer({ revocation, hasHandles });
  const world = createWorld(issuer);
  const { time, repository, events } = world;
  const claimedGone = new Set<string>();
  const broken: string[] = [];
  const after = (ms: number) => new Promise<void>((resolve) => void time.schedule(ms, resolve));
  const at = (ms: number, effect: () => void) => (ms <= 0 ? effect() : void time.schedule(ms, effect));
  const rowOf = (tag: string) => [...repository.rows.values()].find((one) => one.tag === tag);

  async function audit(event: LeaseEvent): Promise<void> {
    events.push(event);
    const { tag, outcome } = event.detail as { tag: string; outcome?: string };
    if (outcome !== 'revoked' && outcome !== 'expired') return;
    // L7: nobody calls gone what the downstream still has.
    if (issuer.live.has(tag)) broken.push(`${tag} was called ${outcome} while it lived`);
    claimedGone.add(tag);
  }

  const binding = (issuing: IssuerBinding['issuer']): IssuerBinding => ({
    issuer: issuing,
    mode,
    ttlSeconds: 300,
    templates: { environment: { T: '{token}' }, headers: {} },
  });

  /** What a process reaches for after it has died never answers, and what comes while it is stopped waits. */
  function startProcess(): StagedProcess {
    let isAlive = true;
    let going: Promise<void> | undefined;
    let go = () => {};
    const late: (() => void)[] = [];
    const guard =
      <A extends unknown[], R>(call: (...args: A) => Promise<R>, isHeldBefore = true) =>
      async (...args: A): Promise<R> => {
        if (isHeldBefore) await going;
        if (!isAlive) return never();
        const outcome = await call(...args).then(
          (result) => () => result,
          (error: unknown) => () => {
            throw error;
          },
        );
        // Real stores and downstreams take their time: a crash finds a gap before and after each effect.
        await Promise.resolve();
        await going;
        return isAlive ? outcome() : never();
      };
    const rows: LeaseRepository = {
      insert: guard(repository.insert),
      get: guard(repository.get),
      list: guard(repository.list),
      update: guard(repository.update),
      handle: guard(repository.handle),
    };
    const { due, claimDue, takeOver, releaseOthers } = repository.claims;
    const claims: LeaseClaims = {
      due: guard(due),
      claimDue: guard(claimDue),
      takeOver: guard(takeOver),
      releaseOthers: guard(releaseOthers),
    };
    // An issue call that has begun is on its way: L4 rests on that nobody begins one after its deadline.
    const reached = { ...issuer, issue: guard(issuer.issue, false), revoke: guard(issuer.revoke) };
    const run = (task: () => void) => {
      if (isAlive) going === undefined ? task() : late.push(task);
    };
    const manager = createLeaseManager({
      ...world.options,
      repository: rows,
      claims,
      claimant: `staged process ${++processes}`,
      audit: guard(audit),
      random: randomBytes,
      issuerOf: () => binding(reached),
      schedule: (ms, task) => time.schedule(ms, () => run(task)),
      limits: { revokeMs: 20_000 },
    });
    return {
      manager,
      kill() {
        isAlive = false;
        go();
      },
      stop() {
        going ??= new Promise((resolve) => {
          go = resolve;
        });
      },
      go() {
        going = undefined;
        go();
        for (const task of late.splice(0)) run(task);
      },
    };
  }

  /** `remit reap` beside whatever runs. */
  const reap = () =>
    reapLeases(
      {
        ...world.context,
        claimant: `staged reaper ${++processes}`,
        audit,
        issuerOf: () => binding(issuer),
        limits: { ...world.context.limits, revokeMs: 20_000 },
      },
      'expired',
    );

  /** An object that nobody revokes ends by itself, its whole life after it appeared. */
  function committer(tag: string, life: number, commit: () => void): () => void {
    return () => {
      if (claimedGone.has(tag)) broken.push(`${tag} appeared after it was called gone`);
      commit();
      time.schedule(life - 1, () => void issuer.live.delete(tag));
    };
  }

  /** L1, at the very moment an issue call starts. */
  function checkIntent(tag: string): void {
    const isRecorded = events.some((event) => event.type === 'credential_intended' && event.detail.tag === tag);
    if (rowOf(tag) === undefined || !isRecorded) broken.push(`${tag} was issued without a durable intent`);
  }

  const issue = issuer.issue;
  issuer.issue = (request) => {
    const plan = plannedIssues.shift() ?? { commitsAfter: 0, repliesAfter: 0, isRefused: false };
    issuer.issueScripts.push(async (commit) => {
      checkIntent(request.tag);
      const intendedAt = rowOf(request.tag)?.intendedAt ?? time.clock();
      const latest = intendedAt + SETTLED_MS - time.clock();
      const { commitsAfter, repliesAfter, isRefused } = plan;
      const commits = commitsAfter === undefined ? undefined : Math.min(commitsAfter, latest);
      if (commits !== undefined) at(commits, committer(request.tag, request.expiresAt - intendedAt, commit));
      if (repliesAfter === undefined) return never();
      const replies = isRefused || commits === undefined ? repliesAfter : Math.max(repliesAfter, commits);
      if (replies > 0) await after(replies);
      if (isRefused || commits === undefined) throw issueFault();
    });
    return issue(request);
  };
  const plannedIssues: IssuePlan[] = [];

  function planRevoke({ removesAfter, repliesAfter }: RevokePlan): void {
    issuer.revokeScripts.push(async (remove) => {
      if (removesAfter !== undefined) at(removesAfter, remove);
      if (repliesAfter === undefined) return never();
      const replies = removesAfter === undefined ? repliesAfter : Math.max(repliesAfter, removesAfter);
      if (replies > 0) await after(replies);
      if (removesAfter === undefined) throw revokeFault();
    });
  }

  return {
    world,
    issuer,
    broken,
    startProcess,
    reap,
    planIssue: (plan: IssuePlan) => void plannedIssues.push(plan),
    planRevoke,
    /** No more faults. */
    mend() {
      plannedIssues.length = 0;
      issuer.revokeScripts.length = 0;
    },
  };
}

export type Stage = ReturnType<typeof createStage>;
