import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import * as fc from 'fast-check';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { openSqlite } from '../../src/adapters/store/open-sqlite.ts';
import type { ApprovalId } from '../../src/domain/ids.ts';
import type { Store } from '../../src/seams/store.ts';
import { TENANT } from '../support/fake-gateway-parts.ts';
import { type Desk, heldCall, makeDesk, TERMS } from './desk.ts';

/** Approvals against a model that knows nothing of rows: random histories of calls, verdicts, revocations and time give the same answers. */
let folder: string;
let store: Store;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'remit-approvals-'));
  store = await openSqlite({ path: join(folder, 'remit.db') });
});
afterAll(async () => {
  await store.close();
  await rm(folder, { recursive: true, force: true });
});

const LIMIT = 2;
const COUNT = 2;
const SECONDS = 60;
const PEOPLE = ['os:ann', 'os:bo', 'os:mallory'];
const HOLD = [{ ...TERMS, count: COUNT, limit: LIMIT, expiresSeconds: SECONDS }];

type Step =
  | { readonly kind: 'call'; readonly args: number; readonly version: string; readonly times: number }
  | {
      readonly kind: 'say';
      readonly who: number;
      readonly which: number;
      readonly isDenial: boolean;
      readonly uses: number;
    }
  | { readonly kind: 'wait'; readonly seconds: number }
  | { readonly kind: 'stop' }
  | { readonly kind: 'end' };

const step: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 5,
    arbitrary: fc.record({
      kind: fc.constant('call' as const),
      args: fc.nat(1),
      version: fc.constantFrom('v1', 'v1', 'v1', 'v2'),
      times: fc.integer({ min: 1, max: 3 }),
    }),
  },
  {
    weight: 7,
    arbitrary: fc.record({
      kind: fc.constant('say' as const),
      who: fc.constantFrom(0, 0, 1, 1, 2),
      which: fc.nat(2),
      isDenial: fc.constantFrom(false, false, false, false, false, true),
      uses: fc.constantFrom(0, 0, 1, 2, 3),
    }),
  },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('wait' as const), seconds: fc.constantFrom(5, 50, 70) }) },
  { weight: 1, arbitrary: fc.constant({ kind: 'stop' as const }) },
  { weight: 1, arbitrary: fc.constant({ kind: 'end' as const }) },
);

const call = (args: number): Step => ({ kind: 'call', args, version: 'v1', times: 1 });
const agree = (uses: number): Step[] => [0, 1].map((who) => ({ kind: 'say', who, which: 0, isDenial: false, uses }));
/** Single steps, and the histories that chance seldom makes: two agree, and then it is stopped, or not. */
const history: fc.Arbitrary<Step[]> = fc
  .array(
    fc.oneof(
      { weight: 3, arbitrary: step.map((one) => [one]) },
      {
        weight: 2,
        arbitrary: fc
          .record({ args: fc.nat(1), uses: fc.constantFrom(0, 1, 2), isStopped: fc.boolean() })
          .map(({ args, uses, isStopped }): Step[] => [
            call(args),
            ...agree(uses),
            ...(isStopped ? [{ kind: 'stop' } as const] : []),
            { kind: 'call', args, version: 'v1', times: 2 },
          ]),
      },
      {
        weight: 1,
        arbitrary: fc
          .nat(1)
          .map((args): Step[] => [call(args), { kind: 'say', who: 0, which: 0, isDenial: true, uses: 0 }, call(args)]),
      },
    ),
    { minLength: 3, maxLength: 20 },
  )
  .map((parts) => parts.flat());

interface Asked {
  readonly id: ApprovalId;
  readonly args: number;
  readonly version: string;
  readonly until: number;
  readonly stops: number;
  readonly said: Map<string, number>;
  state: 'pending' | 'approved' | 'denied' | 'over';
  scope: 'call' | 'task';
  left: number;
}

/** What the pipeline does with a held call, without the waiting. */
async function tryOnce(desk: Desk, task: string, args: number, version: string) {
  const call = heldCall(task, { args }, { terms: HOLD, version });
  const found = (await desk.approvals.find(call)) ?? (await desk.approvals.request(call));
  if (found === 'too_many') throw new Error('the model does not count');
  if (found.state !== 'approved') return found;
  return (await desk.approvals.use(found, call)) ? ('used' as const) : ('refused' as const);
}

const seen = { used: 0, refused: 0, pending: 0, denied: 0, taken: 0, rejected: 0 };
let runs = 0;

async function play(steps: readonly Step[]): Promise<void> {
  const task = `tsk_model_${runs++}`;
  const desk = makeDesk(store);
  await store.tasks.insert(heldCall(task, {}).task);
  const asked: Asked[] = [];
  let stops = 0;
  const open = (): Asked[] => asked.filter(({ until, state }) => desk.now < until && state !== 'over');

  for (const one of steps) {
    desk.now += 1;
    if (one.kind === 'wait') desk.now += one.seconds * 1_000;
    else if (one.kind === 'stop') {
      // Durable, and not yet read by anybody here.
      const entry = {
        tenant: TENANT,
        action: 'suspend',
        subject: { kind: 'task', id: task },
        by: 'x',
        reason: 'x',
      } as const;
      const row = await store.revocations.append({ ...entry, at: desk.now });
      desk.position = row.position;
      stops += 1;
    } else if (one.kind === 'end') {
      await desk.approvals.endTask(heldCall(task, {}).task.id, 'over');
      for (const entry of asked)
        if (entry.state !== 'denied' || desk.now >= entry.until)
          entry.state = entry.state === 'denied' ? 'denied' : 'over';
    } else if (one.kind === 'say') {
      const about = asked.at(-1 - one.which);
      if (about === undefined) continue;
      const who = PEOPLE[one.who] as string;
      const isTaken =
        about.state === 'pending' &&
        desk.now < about.until &&
        who !== 'os:mallory' &&
        !about.said.has(who) &&
        (one.isDenial || one.uses <= LIMIT);
      const approver = { id: who, groups: [], names: [], via: 'command line' } as const;
      const said = one.isDenial
        ? ({ verdict: 'deny', reason: '' } as const)
        : ({ verdict: 'approve', uses: one.uses, reason: '' } as const);
      const given = await desk.approvals.give(about.id, approver, said).then(
        () => true,
        () => false,
      );
      expect(given).toBe(isTaken);
      seen[isTaken ? 'taken' : 'rejected'] += 1;
      if (!isTaken) continue;
      about.said.set(who, one.uses);
      if (one.isDenial) about.state = 'denied';
      else if (about.said.size >= COUNT) {
        about.state = 'approved';
        const uses = [...about.said.values()];
        about.scope = uses.every((count) => count > 0) ? 'task' : 'call';
        about.left = about.scope === 'task' ? Math.min(...uses) : 1;
      }
    } else {
      const { args, version, times } = one;
      const mine = open()
        .filter((entry) => entry.version === version)
        .reverse();
      const approved = mine.find(
        (entry) => entry.state === 'approved' && entry.left > 0 && (entry.scope === 'task' || entry.args === args),
      );
      const isStopped = approved !== undefined && approved.stops !== stops;
      const answers = await Promise.all(Array.from({ length: times }, () => tryOnce(desk, task, args, version)));
      const used = answers.filter((answer) => answer === 'used').length;
      if (approved === undefined) expect(used).toBe(0);
      else {
        // Exactly as many as there were, whoever raced.
        const others = mine.filter(
          (entry) =>
            entry.state === 'approved' && entry.stops === stops && (entry.scope === 'task' || entry.args === args),
        );
        const most = isStopped
          ? 0
          : Math.min(
              times,
              others.reduce((sum, entry) => sum + entry.left, 0),
            );
        expect(used).toBeLessThanOrEqual(most);
        if (!isStopped) expect(used).toBeGreaterThanOrEqual(1);
        let left = used;
        for (const entry of others) {
          const taken = Math.min(left, entry.left);
          entry.left -= taken;
          left -= taken;
          if (entry.left === 0) entry.state = 'over';
        }
      }
      seen.used += used;
      for (const answer of answers) {
        if (typeof answer === 'string') {
          if (answer === 'refused') seen.refused += 1;
          continue;
        }
        seen[answer.state === 'denied' ? 'denied' : 'pending'] += 1;
        const known = asked.find(({ id }) => id === answer.id);
        if (known !== undefined) {
          expect(answer.state).toBe(known.state);
          expect(known.args).toBe(args);
          expect(known.version).toBe(version);
          continue;
        }
        // A new one is asked for only where nothing stood already.
        expect(mine.some((entry) => entry.args === args && ['pending', 'denied'].includes(entry.state))).toBe(false);
        const until = desk.now + SECONDS * 1_000;
        asked.push({
          id: answer.id,
          args,
          version,
          until,
          stops,
          said: new Map(),
          state: 'pending',
          scope: 'call',
          left: 0,
        });
      }
    }
  }
  // Every use is on the trail, and follows the verdicts that allowed it.
  const used = desk.records.filter(({ type }) => type === 'approval_used');
  for (const record of used) {
    const at = desk.records.indexOf(record);
    const before = desk.records.slice(0, at).filter(({ detail }) => detail.approval === record.detail.approval);
    const people = before.filter(({ type, detail }) => type === 'approval_verdict' && detail.verdict === 'approve');
    expect(new Set(people.map(({ detail }) => detail.by)).size).toBeGreaterThanOrEqual(COUNT);
  }
}

test('D5 random histories: used only as people said, as often as they said, in time, and never past a revocation', async () => {
  await fc.assert(fc.asyncProperty(history, play), { numRuns: 150 });
  for (const count of Object.values(seen)) expect(count).toBeGreaterThan(15);
}, 120_000);
