import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';
import { openSqlite } from '../../src/adapters/store/open-sqlite.ts';
import type { Decision } from '../../src/domain/decision.ts';
import { refuse } from '../../src/domain/refusal.ts';
import { DEFAULT_TERMS, stepUpOf } from '../../src/domain/step-up.ts';
import { callTool } from '../../src/gateway/methods/call-tool.ts';
import type { Store } from '../../src/seams/store.ts';
import { type Desk, makeDesk } from '../approvals/desk.ts';
import {
  decision,
  type FakeGateway,
  type FakeOptions,
  makeClientRequest,
  makeGateway,
  makeTask,
  makeTool,
  NOW,
  TENANT,
} from '../support/fake-gateway-parts.ts';

/** What the pipeline does with a call that is held, over a real store. */
let folder: string;
let store: Store;
let runs = 0;
let desk: Desk;
let fake: FakeGateway;
let decide: () => Decision;
const HELD = decision('step_up', { reason: 'Money moves.', stepUp: stepUpOf([{ by: 'p1', ...DEFAULT_TERMS }]) });

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'remit-hold-'));
  store = await openSqlite({ path: join(folder, 'remit.db') });
});
afterAll(async () => {
  await store.close();
  await rm(folder, { recursive: true, force: true });
});

async function build(more: Partial<FakeOptions> = {}): Promise<void> {
  const task = makeTask(`tsk_hold${runs++}`);
  await store.tasks.insert(task);
  desk = makeDesk(store);
  desk.now = NOW;
  decide = () => HELD;
  fake = makeGateway({ tasks: [task], approvals: desk.approvals, decideCall: () => decide(), ...more });
}
beforeEach(() => build());

const call = () =>
  callTool(fake.gateway, fake.caller(), makeClientRequest('tools/call', { name: 'shop__orders', arguments: { n: 1 } }));
const pending = () => store.approvals.list(TENANT, { states: ['pending', 'approved'], task: fake.caller().task.id }, 9);

async function approve(): Promise<void> {
  const [open] = await pending();
  if (open === undefined) throw new Error('nothing waits');
  await desk.approvals.give(
    open.id,
    { id: 'os:ann', groups: [], names: [], via: 'link' },
    { verdict: 'approve', uses: 0, reason: '' },
  );
}

const verdicts = () => fake.records.filter(({ type }) => type === 'decision').map(({ detail }) => detail.verdict);

test('D5 no credential is leased and nothing is sent while a call waits; then once, recorded as permitted first', async () => {
  let leased = 0;
  await build({
    acquireLease: () => {
      leased += 1;
      return undefined;
    },
  });
  expect(await call()).toMatchObject({ reply: { refusal: { kind: 'denied', decision: { verdict: 'step_up' } } } });
  expect(leased).toBe(0);
  expect(fake.calls).toHaveLength(0);
  await approve();
  expect(leased).toBe(0);
  expect(await call()).toHaveProperty('reply.result');
  expect(leased).toBe(1);
  expect(fake.calls).toHaveLength(1);
  expect(verdicts()).toEqual(['step_up', 'step_up', 'permit']);
  expect(fake.events.lastIndexOf('record:decision')).toBeLessThan(fake.events.indexOf('request'));
  await call();
  expect(fake.calls).toHaveLength(1);
});

test('A1 V1 among several nodes a lifted call is kept in one step with its record, and is not made where that is refused', async () => {
  const order: string[] = [];
  const moved = refuse({ kind: 'unavailable', code: 'ERR_BUSY', reason: 'moved', nextStep: '', isForwarded: false });
  await build({
    async record({ type, permits }) {
      if (type !== 'decision' || permits === undefined) return;
      order.push('record');
      await new Promise((resolve) => setImmediate(resolve));
      order.push('recorded');
    },
    memory: {
      async keep() {
        order.push('keep');
        return moved;
      },
      confirm: () => undefined,
    },
  });
  await call();
  await approve();
  expect(await call()).toMatchObject({ reply: { refusal: { reason: 'moved' } } });
  expect(order).toEqual(['record', 'keep', 'recorded']);
  expect(fake.calls).toHaveLength(0);
});

const changes: [string, () => void][] = [
  ['a denial', () => once(HELD, decision('deny', { reason: 'not any more' }))],
  ['another hold', () => once(HELD, { ...HELD, stepUp: stepUpOf([{ by: 'p2', ...DEFAULT_TERMS }]) })],
  ['other policies', () => once(HELD, { ...HELD, policyVersion: 'v2' })],
  ['a label more', () => once(HELD, { ...HELD, stepUp: stepUpOf([{ by: 'p1', ...DEFAULT_TERMS }], ['untrusted']) })],
];
/** The first decision of the call, and what is decided once it has been approved. */
function once(first: Decision, then: Decision): void {
  let asked = 0;
  decide = () => (asked++ === 0 ? first : then);
}
test.each(changes)('D5 A47 it is decided anew just before it is made: %s stops an approved call', async (_, change) => {
  await call();
  await approve();
  change();
  expect(await call()).toMatchObject({ reply: { refusal: { kind: 'denied', decision: { verdict: 'deny' } } } });
  expect(fake.calls).toHaveLength(0);
  expect(verdicts().at(-1)).toBe('deny');
});

test('D5 an item that was quarantined or changed meanwhile is not called', async () => {
  await call();
  await approve();
  const changed = {
    ...makeTool('orders'),
    definition: { ...makeTool('orders').definition, fingerprint: 'sha256:new' },
  };
  Object.assign(fake.gateway.catalogue, { tools: () => [changed] });
  expect(await call()).toMatchObject({ reply: { refusal: { decision: { verdict: 'deny' } } } });
  expect(fake.calls).toHaveLength(0);
});

test('V2 D5 a task that ends between approval and use makes no call, whoever knows of it first', async () => {
  await call();
  await approve();
  const { id } = fake.caller().task;
  const entry = {
    tenant: TENANT,
    action: 'revoke',
    subject: { kind: 'task', id },
    by: 'x',
    reason: 'x',
    at: NOW,
  } as const;
  await store.revocations.append(entry);
  expect(await call()).toMatchObject({ reply: { refusal: { kind: 'denied', decision: { verdict: 'deny' } } } });
  expect(fake.calls).toHaveLength(0);
});

test('the budget is charged when it is made, and an approval does not add to it', async () => {
  const task = fake.caller().task;
  await call();
  await approve();
  for (let left = fake.gateway.tasks.callsLeft(task.id); left > 0; left -= 1) fake.gateway.tasks.takeCall(task.id);
  expect(await call()).toMatchObject({ reply: { refusal: { decision: { verdict: 'deny', gate: 'budget' } } } });
  expect(fake.calls).toHaveLength(0);
});

test('D1 a hold without terms, a store that fails and a trail that fails make no call', async () => {
  decide = () => decision('step_up');
  expect(await call()).toMatchObject({ reply: { refusal: { decision: { verdict: 'deny' } } } });
  const broken = async (): Promise<never> => Promise.reject(new Error('the store is gone'));
  await build({ approvals: { ...makeDesk(store).approvals, find: broken } });
  await expect(call()).rejects.toThrow('gone');
  await build();
  await call();
  await approve();
  const { approvals } = makeDesk(store, { record: broken });
  Object.assign(fake.gateway, { approvals });
  await expect(call()).rejects.toThrow('gone');
  expect(fake.calls).toHaveLength(0);
});
