import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { openSqlite } from '../../src/adapters/store/open-sqlite.ts';
import { bindCall, type HeldCall } from '../../src/approvals/held-call.ts';
import type { Approval, Approver } from '../../src/domain/approval.ts';
import { Cancellation } from '../../src/domain/cancellation.ts';
import { agentId } from '../../src/domain/ids.ts';
import type { StepUpTerms } from '../../src/domain/step-up.ts';
import type { Store } from '../../src/seams/store.ts';
import { type Desk, heldCall, makeDesk, TERMS } from './desk.ts';

let folder: string;
let store: Store;
let runs = 0;
let task: string;
let desk: Desk;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'remit-verdicts-'));
  store = await openSqlite({ path: join(folder, 'remit.db') });
});
afterAll(async () => {
  await store.close();
  await rm(folder, { recursive: true, force: true });
});
beforeEach(async () => {
  task = `tsk_verdict_${runs++}`;
  desk = makeDesk(store);
  await store.tasks.insert(heldCall(task, {}).task);
});

const person = (id: string, more: Partial<Approver> = {}): Approver => ({
  id,
  groups: [],
  names: [],
  via: 'sign-in',
  ...more,
});
const yes = { verdict: 'approve', uses: 0, reason: '' } as const;

async function ask(
  terms: Partial<StepUpTerms> = {},
  of: HeldCall = heldCall(task, { n: 1 }, { terms: [{ ...TERMS, ...terms }] }),
) {
  const asked = await desk.approvals.request(of);
  if (asked === 'too_many') throw new Error('too many');
  return { call: of, approval: asked };
}

describe('D5 what is bound', () => {
  const base = heldCall('tsk_a', { to: 'x', amount: 1, nested: { b: 1, a: [1, 2] } });
  const key = Buffer.alloc(32, 1);
  const other = (change: Partial<HeldCall>): HeldCall => ({ ...base, ...change });
  const changes: [string, HeldCall, boolean][] = [
    ['its members in another order', other({ args: { amount: 1, nested: { a: [1, 2], b: 1 }, to: 'x' } }), true],
    ['another span', other({ span: '1'.repeat(16) }), true],
    ['another value', other({ args: { ...base.args, amount: 2 } }), false],
    ['a value of another type', other({ args: { ...base.args, amount: '1' } }), false],
    ['a list in another order', other({ args: { ...base.args, nested: { b: 1, a: [2, 1] } } }), false],
    ['one argument more', other({ args: { ...base.args, cc: 'y' } }), false],
    ['another agent', other({ principal: { ...base.principal, agent: agentId('other') } }), false],
    ['an actor', other({ principal: { ...base.principal, actors: [agentId('other')] } }), false],
    ['another workload', other({ principal: { ...base.principal, workload: 'y' } }), false],
    ['a user', other({ principal: { ...base.principal, user: { issuer: 'i', subject: 's', groups: [] } } }), false],
    ['another method', other({ method: 'prompts/get' }), false],
    ['another task', heldCall('tsk_b', base.args), false],
    ['another policy version', heldCall('tsk_a', base.args, { version: 'v2' }), false],
    ['other terms', heldCall('tsk_a', base.args, { terms: [{ ...TERMS, count: 2 }] }), false],
    ['another label of the task', heldCall('tsk_a', base.args, { labels: ['untrusted'] }), false],
    [
      'another definition of the item',
      other({ item: { ...base.item, definition: { ...base.item.definition, fingerprint: 'sha256:other' } } }),
      false,
    ],
  ];
  test.each(changes)('%s', (_, changed, isSame) => {
    expect(bindCall(key, changed).callKey === bindCall(key, base).callKey).toBe(isSame);
    expect(bindCall(Buffer.alloc(32, 2), base).callKey).not.toBe(bindCall(key, base).callKey);
  });
});

describe('who may approve', () => {
  test('where no group is named, those of the configuration, and nobody else', async () => {
    const { approval } = await ask();
    await expect(desk.approvals.give(approval.id, person('os:mallory'), yes)).rejects.toMatchObject({
      code: 'ERR_APPROVAL_REFUSED',
    });
    await expect(desk.approvals.give(approval.id, person('https://idp#fay'), yes)).rejects.toThrow('none of');
    expect(await desk.approvals.give(approval.id, person('os:ann'), yes)).toMatchObject({ state: 'approved' });
  });

  test('where groups are named, their members by account, subject or group of the provider; an account is no subject', async () => {
    for (const [who, groups, isOne] of [
      ['os:ann', [], false],
      ['https://idp#fay', [], true],
      ['https://idp#gil', ['https://idp#money'], true],
      ['https://other#gil', ['https://other#money'], false],
    ] as const) {
      const { approval } = await ask(
        { groups: ['finance'] },
        heldCall(task, { who }, { terms: [{ ...TERMS, groups: ['finance'] }] }),
      );
      const given = desk.approvals.give(approval.id, person(who, { groups: [...groups] }), yes);
      if (isOne) expect(await given).toMatchObject({ state: 'approved' });
      else await expect(given).rejects.toThrow('is not in finance');
    }
  });

  test('R65 not the owner of the agent, nor the user of the task, where the terms bar them; they may deny', async () => {
    const { approval } = await ask({ barred: ['owner'] });
    await expect(desk.approvals.give(approval.id, person('os:ann'), yes)).rejects.toThrow('owner');
    expect(await desk.approvals.give(approval.id, person('os:ann'), { verdict: 'deny', reason: 'no' })).toMatchObject({
      state: 'denied',
    });
    const user = { issuer: 'os', subject: 'x', groups: [] };
    const base = heldCall(task, { n: 2 }, { terms: [{ ...TERMS, barred: ['user'], groups: ['finance'] }] });
    const of = { ...base, principal: { ...base.principal, user: { ...user, issuer: 'https://idp', subject: 'fay' } } };
    const other = await ask({}, of);
    await expect(desk.approvals.give(other.approval.id, person('https://idp#fay'), yes)).rejects.toThrow(
      'whom the task is for',
    );
  });

  test('an agent’s owner who is unknown might be anybody', async () => {
    desk = makeDesk(store, { ownerOf: () => undefined });
    const { approval } = await ask({ barred: ['owner'] });
    await expect(desk.approvals.give(approval.id, person('os:bo'), yes)).rejects.toThrow('may be');
  });

  test('two holds need their people each; one person counts for both where they are in both', async () => {
    const terms = [TERMS, { ...TERMS, by: 'big', groups: ['finance'] }];
    const { approval } = await ask({}, heldCall(task, { n: 3 }, { terms }));
    expect(await desk.approvals.give(approval.id, person('os:ann'), yes)).toMatchObject({ state: 'pending' });
    expect(await desk.approvals.give(approval.id, person('https://idp#fay'), yes)).toMatchObject({ state: 'approved' });
  });
});

describe('D1 what fails', () => {
  test('a trail that fails takes no verdict, asks nobody and lets nothing be used', async () => {
    const { approval } = await ask();
    const failing = makeDesk(store, { record: async () => Promise.reject(new Error('full')) });
    await expect(failing.approvals.request(heldCall(task, { n: 9 }))).rejects.toThrow('full');
    await expect(failing.approvals.give(approval.id, person('os:ann'), yes)).rejects.toThrow('full');
    expect(await store.approvals.get(approval.tenant, approval.id)).toMatchObject({ state: 'pending' });
    const approved = await desk.approvals.give(approval.id, person('os:ann'), yes);
    await expect(failing.approvals.use(approved, heldCall(task, { n: 1 }))).rejects.toThrow('full');
    // It is spent: what is not on the trail is not done, and not tried again either.
    expect(await desk.approvals.use(approved, heldCall(task, { n: 1 }))).toBe(false);
  });

  test('a verdict before it is on the trail is none: the record comes first', async () => {
    const { approval } = await ask();
    let stateAtRecord: string | undefined;
    const watching = makeDesk(store, {
      record: async () => {
        stateAtRecord = (await store.approvals.get(approval.tenant, approval.id))?.state;
      },
    });
    await watching.approvals.give(approval.id, person('os:ann'), yes);
    expect(stateAtRecord).toBe('pending');
  });

  test('A46 a task that has asked as often as it may asks no more', async () => {
    desk = makeDesk(store, { perTask: 2 });
    for (const n of [1, 2]) await ask({}, heldCall(task, { n }));
    expect(await desk.approvals.request(heldCall(task, { n: 3 }))).toBe('too_many');
  });
});

describe('waiting', () => {
  const timers: (() => void)[] = [];
  beforeEach(() => {
    timers.splice(0);
    desk = makeDesk(store, {
      schedule: (ms, work) => {
        // Those that look for news; the limit of a wait is none of them.
        if (ms < 60_000) timers.push(work);
        return () => {
          const at = timers.indexOf(work);
          if (at !== -1) timers.splice(at, 1);
        };
      },
    });
  });
  const wait = (approval: Approval, cancellation = new Cancellation()) =>
    desk.approvals.wait(approval, 60_000, cancellation);

  test('ends with the verdict, a denial too, of this process or another', async () => {
    const here = await ask();
    const waiting = wait(here.approval);
    await desk.approvals.give(here.approval.id, person('os:ann'), yes);
    expect(await waiting).toMatchObject({ state: 'approved' });
    const there = await ask({}, heldCall(task, { n: 2 }));
    const other = wait(there.approval);
    await makeDesk(store).approvals.give(there.approval.id, person('os:bo'), { verdict: 'deny', reason: 'no' });
    for (const timer of [...timers]) timer();
    expect(await other).toMatchObject({ state: expect.stringMatching(/denied/) });
  });

  test('V2 ends at once when the task is barred, the client is gone, or the gateway stops', async () => {
    const { approval } = await ask();
    const barred = wait(approval);
    desk.approvals.bar(approval.task);
    expect(await barred).toBe('barred');
    const cancellation = new Cancellation();
    const gone = wait(approval, cancellation);
    cancellation.cancel('closed');
    expect(await gone).toBe('gone');
    const stopping = wait(approval);
    desk.approvals.release();
    expect(await stopping).toBe('stopping');
    expect(await wait(approval)).toBe('stopping');
  });
});
