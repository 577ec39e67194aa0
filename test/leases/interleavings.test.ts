import { randomBytes } from 'node:crypto';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { RevocationClass } from '../../src/domain/lease.ts';
import type { Task } from '../../src/domain/task.ts';
import type { HeldLease } from '../../src/leases/held-lease.ts';
import type { LeaseEvent } from '../../src/leases/lease-context.ts';
import { createLeaseManager, type LeaseManager } from '../../src/leases/lease-manager.ts';
import type { LeaseClaims, LeaseRepository } from '../../src/seams/store.ts';
import { createFakeIssuer, issueFault, revokeFault } from '../support/fake-issuer.ts';
import { createWorld, SHOP } from './lease-world.ts';

/** When an issue call's object appears and when its reply comes, milliseconds after the call; undefined is never. */
interface IssuePlan {
  readonly commitsAfter: number | undefined;
  readonly repliesAfter: number | undefined;
  readonly isRefused: boolean;
}
interface RevokePlan {
  readonly removesAfter: number | undefined;
  readonly repliesAfter: number | undefined;
}
type Step =
  | { readonly do: 'acquire'; readonly task: number }
  | { readonly do: 'end task'; readonly task: number }
  | { readonly do: 'revoke newest' }
  | { readonly do: 'next issue'; readonly plan: IssuePlan }
  | { readonly do: 'next revoke'; readonly plan: RevokePlan }
  | { readonly do: 'pass time'; readonly ms: number }
  | { readonly do: 'pass ticks'; readonly ticks: number }
  | { readonly do: 'crash and start'; readonly ticks: number };

/** Issue deadline plus skew: what the downstream has not done by then it never does (L4's premise). */
const SETTLED_MS = 15_000;
const delays = fc.option(fc.integer({ min: 0, max: 40_000 }), { nil: undefined, freq: 6 });
const taskNumbers = fc.nat({ max: 2 });
const steps: fc.Arbitrary<Step> = fc.oneof(
  { weight: 5, arbitrary: fc.record({ do: fc.constant('acquire' as const), task: taskNumbers }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('end task' as const), task: taskNumbers }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('revoke newest' as const) }) },
  {
    weight: 3,
    arbitrary: fc.record({
      do: fc.constant('next issue' as const),
      plan: fc.record({ commitsAfter: delays, repliesAfter: delays, isRefused: fc.boolean() }),
    }),
  },
  {
    weight: 2,
    arbitrary: fc.record({
      do: fc.constant('next revoke' as const),
      plan: fc.record({ removesAfter: delays, repliesAfter: delays }),
    }),
  },
  {
    weight: 3,
    arbitrary: fc.record({ do: fc.constant('pass time' as const), ms: fc.integer({ min: 0, max: 400_000 }) }),
  },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('pass ticks' as const), ticks: fc.nat({ max: 12 }) }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('crash and start' as const), ticks: fc.nat({ max: 30 }) }) },
);

let processes = 0;
const never = () => new Promise<never>(() => {});

function createStage(revocation: RevocationClass) {
  const issuer = createFakeIssuer({ revocation });
  const world = createWorld(issuer);
  const { time, repository, events } = world;
  const claimedGone = new Set<string>();
  const broken: string[] = [];

  const after = (ms: number) => new Promise<void>((resolve) => void time.schedule(ms, resolve));
  const at = (ms: number, effect: () => void) => (ms === 0 ? effect() : void time.schedule(ms, effect));

  /** A process: what it reaches for after it has died never answers, and its timers never fire. */
  function startProcess(): { manager: LeaseManager; kill: () => void } {
    let isAlive = true;
    const guard =
      <A extends unknown[], R>(call: (...args: A) => Promise<R>) =>
      async (...args: A): Promise<R> => {
        if (!isAlive) return never();
        const result = await call(...args).catch((error: unknown) => (isAlive ? Promise.reject(error) : never()));
        // Real stores and downstreams take their time: a crash finds a gap before and after each effect.
        await Promise.resolve();
        return isAlive ? result : never();
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
    const audit = guard(async (event: LeaseEvent) => {
      events.push(event);
      const { tag, outcome } = event.detail as { tag: string; outcome?: string };
      if (outcome === 'revoked') claimedGone.add(tag);
    });
    const wrapped = { ...issuer, issue: guard(issuer.issue), revoke: guard(issuer.revoke) };
    const manager = createLeaseManager({
      ...world.options,
      repository: rows,
      claims,
      claimant: `fake process ${++processes}`,
      audit,
      random: randomBytes,
      issuerOf: () => ({
        issuer: wrapped,
        mode: 'task',
        ttlSeconds: 300,
        templates: { environment: { T: '{token}' }, headers: {} },
      }),
      schedule: (ms, task) => time.schedule(ms, () => isAlive && task()),
      limits: { revokeMs: 20_000 },
    });
    return {
      manager,
      kill: () => {
        isAlive = false;
      },
    };
  }

  function commitOnce(tag: string, commit: () => void): () => void {
    return () => {
      if (claimedGone.has(tag)) broken.push(`${tag} appeared after it was called revoked`);
      commit();
    };
  }

  function planIssue({ commitsAfter, repliesAfter, isRefused }: IssuePlan): void {
    issuer.issueScripts.push(async (commit, request) => {
      checkIntent(request.tag);
      const row = [...repository.rows.values()].find((one) => one.tag === request.tag);
      const latest = (row?.intendedAt ?? 0) + SETTLED_MS - time.clock();
      const commits = commitsAfter === undefined ? undefined : Math.min(commitsAfter, latest);
      if (commits !== undefined) at(commits, commitOnce(request.tag, commit));
      if (repliesAfter === undefined) return never();
      const replies = isRefused || commits === undefined ? repliesAfter : Math.max(repliesAfter, commits);
      if (replies > 0) await after(replies);
      if (isRefused || commits === undefined) throw issueFault();
    });
  }

  function planRevoke({ removesAfter, repliesAfter }: RevokePlan): void {
    issuer.revokeScripts.push(async (remove) => {
      if (removesAfter !== undefined) at(removesAfter, remove);
      if (repliesAfter === undefined) return never();
      const replies = removesAfter === undefined ? repliesAfter : Math.max(repliesAfter, removesAfter);
      if (replies > 0) await after(replies);
      if (removesAfter === undefined) throw revokeFault();
    });
  }

  /** L1, at the very moment an issue call starts. */
  function checkIntent(tag: string): void {
    const isStored = [...repository.rows.values()].some((row) => row.tag === tag && row.state === 'intended');
    const isRecorded = events.some((event) => event.type === 'credential_intended' && event.detail.tag === tag);
    if (!isStored || !isRecorded) broken.push(`${tag} was issued without a durable intent`);
  }

  return { world, issuer, startProcess, planIssue, planRevoke, checkIntent, broken };
}

async function play(revocation: RevocationClass, script: readonly Step[]): Promise<void> {
  const stage = createStage(revocation);
  const { world, issuer, broken } = stage;
  const { time, repository } = world;
  let { manager, kill } = stage.startProcess();
  await manager.recover();
  let tasks: Task[] = [world.task(), world.task({ expiresAt: time.clock() + 100_000 }), world.task()];
  const taskOf = (index: number) => tasks[index] as Task;

  const endedTasks = new Set<string>();

  for (const step of script) {
    if (step.do === 'acquire') {
      const acquired = manager.acquire(taskOf(step.task), SHOP);
      void Promise.resolve(acquired).then(
        (held: HeldLease | undefined) => {
          if (held?.isLive && !issuer.live.has(held.lease.tag)) broken.push(`${held.lease.tag} is held and not live`);
        },
        () => {},
      );
    }
    if (step.do === 'end task') {
      const ended = taskOf(step.task);
      endedTasks.add(ended.id);
      void manager.revokeTask(ended.id, 'revoked').catch(() => {});
      // A call that was under way when its task ended.
      void Promise.resolve(manager.acquire(ended, SHOP)).then(
        () => broken.push(`${ended.id} was served after its end`),
        () => {},
      );
      tasks = tasks.with(step.task, world.task({ expiresAt: time.clock() + 200_000 }));
    }
    if (step.do === 'revoke newest') {
      const newest = [...repository.rows.keys()].at(-1);
      if (newest !== undefined) void manager.revoke(newest, 'by hand').catch(() => {});
    }
    if (step.do === 'next issue') stage.planIssue(step.plan);
    if (step.do === 'next revoke') stage.planRevoke(step.plan);
    if (step.do === 'pass time') await time.advance(step.ms);
    if (step.do === 'pass ticks') for (let tick = 0; tick < step.ticks; tick++) await Promise.resolve();
    if (step.do === 'crash and start') {
      for (let tick = 0; tick < step.ticks; tick++) await Promise.resolve();
      kill();
      ({ manager, kill } = stage.startProcess());
      tasks = [world.task(), world.task({ expiresAt: time.clock() + 100_000 }), world.task()];
      const recovered = manager.recover();
      await time.advance(2_000);
      await recovered;
    }
  }

  // Everything settles: no more faults, and time for every retry.
  issuer.issueScripts.length = 0;
  issuer.revokeScripts.length = 0;
  await time.advance(SETTLED_MS + 120_000);
  const open = [...repository.rows.values()].filter((row) => row.state === 'active' || row.state === 'lapsing');
  const known = new Set(open.map((row) => row.tag));
  // L5: what lives downstream is held by an active lease, or lapses.
  expect([...issuer.live.keys()].filter((tag) => !known.has(tag))).toEqual([]);
  // No lease outlives its end or its task's.
  expect(
    open.filter((row) => row.state === 'active' && (row.expiresAt < time.clock() || endedTasks.has(row.task))),
  ).toEqual([]);
  await manager.revokeAll('gateway_stopped');
  await time.advance(3_600_000);
  expect([...issuer.live.keys()]).toEqual([]);
  expect([...repository.rows.values()].filter((row) => row.state !== 'ended')).toEqual([]);
  expect(manager.counts()).toEqual({ held: 0, issuing: 0, revoking: 0 });
  expect(broken).toEqual([]);
}

describe('random interleavings of acquire, revoke, faults, late replies, crashes and recovery', () => {
  const scripts = fc.array(steps, { minLength: 1, maxLength: 40, size: 'max' });
  for (const revocation of ['immediate', 'next_use'] as const) {
    it(`L5 leave nothing alive at the downstream that no lease answers for (${revocation})`, async () => {
      await fc.assert(
        fc.asyncProperty(scripts, (script) => play(revocation, script)),
        { numRuns: 300 },
      );
    }, 120_000);
  }
});
