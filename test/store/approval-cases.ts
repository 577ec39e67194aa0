import { expect, test } from 'vitest';
import { conclude } from '../../src/approvals/conclude.ts';
import type { Approval, Verdict } from '../../src/domain/approval.ts';
import { agentId, approvalId, connectorId, taskId, toolRef, traceId } from '../../src/domain/ids.ts';
import type { RevocationAction, RevocationSubject } from '../../src/domain/revocation.ts';
import { DEFAULT_TERMS } from '../../src/domain/step-up.ts';
import { countWinners, type StoreFixture } from '../suites/store-suite.ts';
import { ACME, NOW, RIVAL, sampleTask } from './samples.ts';

const CONTENT = { keyId: 'kek-1', envelope: Buffer.from([1, 2, 3]) };

export function sampleApproval(change: Partial<Approval> = {}): Approval {
  return {
    id: approvalId('apr_one'),
    tenant: ACME,
    task: taskId('tsk_one'),
    trace: traceId('0af7651916cd43dd8448eb211c80319c'),
    span: '00f067aa0ba902b7',
    user: 'https://idp.example#ann',
    agent: agentId('reporter'),
    actors: [agentId('helper')],
    workload: 'private_key_jwt:x',
    connector: connectorId('shop_db'),
    tool: toolRef(connectorId('shop_db'), 'pay'),
    method: 'tools/call',
    callKey: 'call-1',
    toolKey: 'tool-1',
    policies: ['money'],
    reason: 'Money “moves”.',
    policyVersion: 'sha256:v',
    stepUp: { terms: [{ by: 'money', ...DEFAULT_TERMS, count: 2 }], labels: ['untrusted'], provenance: [] },
    state: 'pending',
    scope: 'call',
    usesLeft: 0,
    logPosition: 0,
    requestedAt: NOW,
    expiresAt: NOW + 900_000,
    decidedAt: undefined,
    endedAt: undefined,
    endReason: undefined,
    ...change,
  };
}

export const sampleVerdict = (approver: string, change: Partial<Verdict> = {}): Verdict => ({
  approval: approvalId('apr_one'),
  approver,
  via: 'command line',
  verdict: 'approve',
  uses: 0,
  reason: '',
  terms: ['money'],
  at: NOW + 1,
  ...change,
});

export function testApprovals(current: () => StoreFixture): void {
  test('what is long over is removed with its verdicts, some at a time; what is open, newer or of another tenant stays', async () => {
    const { approvals } = current().store;
    const names = ['a', 'b', 'c', 'open', 'new'] as const;
    for (const name of names) {
      const one = sampleApproval({ id: approvalId(`apr_${name}`), task: taskId(`tsk_${name}`), callKey: name });
      await approvals.open(one, CONTENT);
      await approvals.open({ ...one, tenant: RIVAL }, CONTENT);
    }
    await approvals.decide(ACME, sampleVerdict('os:dana', { approval: approvalId('apr_a') }), () => undefined);
    const endAt = (name: string, at: number) =>
      approvals.end(ACME, { task: taskId(`tsk_${name}`) }, { state: 'ended', reason: 'over', at });
    for (const name of ['a', 'b', 'c']) await endAt(name, NOW + 10);
    await endAt('new', NOW + 1_000);
    expect(await approvals.forget(ACME, NOW + 10, 2)).toBe(2);
    expect(await approvals.forget(ACME, NOW + 10, 2)).toBe(1);
    expect(await approvals.forget(ACME, NOW + 10, 2)).toBe(0);
    const left = async (tenant: typeof ACME) => (await approvals.list(tenant, {}, 10)).map((one) => one.id).sort();
    expect(await left(ACME)).toEqual(['apr_new', 'apr_open']);
    expect(await approvals.verdicts(ACME, approvalId('apr_a'))).toEqual([]);
    expect(await left(RIVAL)).toEqual(names.map((name) => `apr_${name}`).sort());
  });

  const id = approvalId('apr_one');

  /** Approved by two, of an active task. */
  async function approved(change: Partial<Approval> = {}, uses = 0): Promise<void> {
    const { tasks, approvals } = current().store;
    await tasks.insert(sampleTask());
    await approvals.open(sampleApproval(change), CONTENT);
    for (const who of ['os:ann', 'os:bo']) await approvals.decide(ACME, sampleVerdict(who, { uses }), conclude);
  }

  test('an approval comes back as it was asked for, with its sealed content, to its tenant alone', async () => {
    const { approvals } = current().store;
    expect(await approvals.open(sampleApproval(), CONTENT)).toEqual(sampleApproval());
    expect(await approvals.get(ACME, id)).toEqual(sampleApproval());
    expect(await approvals.content(ACME, id)).toEqual(CONTENT);
    expect(await approvals.get(RIVAL, id)).toBeUndefined();
    expect(await approvals.content(RIVAL, id)).toBeUndefined();
    expect(await approvals.about(RIVAL, sampleApproval(), NOW)).toEqual([]);
    expect(await approvals.use(RIVAL, id, NOW)).toBe(false);
  });

  test('D5 the same call is asked about once, whoever asks at the same time, until that is over', async () => {
    const { store, openAnother } = current();
    const other = await openAnother();
    const opened = await Promise.all(
      Array.from({ length: 8 }, (_, n) =>
        (n % 2 === 0 ? store : other).approvals.open(sampleApproval({ id: approvalId(`apr_${n}`) }), CONTENT),
      ),
    );
    expect(new Set(opened.map((one) => one.id)).size).toBe(1);
    const [first] = opened;
    const later = sampleApproval({
      id: approvalId('apr_later'),
      requestedAt: NOW + 900_000,
      expiresAt: NOW + 1_000_000,
    });
    expect((await store.approvals.open(later, CONTENT)).id).toBe('apr_later');
    expect(await store.approvals.get(ACME, (first as Approval).id)).toMatchObject({ state: 'expired' });
  });

  test('D5 verdicts are reckoned one after the other, each person counts once, and one denial denies', async () => {
    const { store, openAnother } = current();
    const other = await openAnother();
    await store.approvals.open(sampleApproval(), CONTENT);
    const same = await Promise.all(
      Array.from({ length: 6 }, (_, n) =>
        (n % 2 === 0 ? store : other).approvals.decide(ACME, sampleVerdict('os:ann'), conclude),
      ),
    );
    expect(same.filter((one) => one !== undefined).map((one) => one?.state)).toEqual(['pending']);
    const both = await Promise.all([
      store.approvals.decide(ACME, sampleVerdict('os:bo'), conclude),
      other.approvals.decide(ACME, sampleVerdict('os:cy', { verdict: 'deny', reason: 'no' }), conclude),
    ]);
    // Whoever came first ended it.
    const came = both.filter((one) => one !== undefined);
    expect(came).toHaveLength(1);
    expect(['approved', 'denied']).toContain(came[0]?.state);
    expect(await store.approvals.get(ACME, id)).toMatchObject({ state: came[0]?.state });
    expect(await store.approvals.verdicts(ACME, id)).toHaveLength(2);
  });

  test('D5 two who agree at the same moment approve', async () => {
    const { store, openAnother } = current();
    const other = await openAnother();
    await store.approvals.open(sampleApproval(), CONTENT);
    await Promise.all([
      store.approvals.decide(ACME, sampleVerdict('os:ann'), conclude),
      other.approvals.decide(ACME, sampleVerdict('os:bo'), conclude),
    ]);
    expect(await store.approvals.get(ACME, id)).toMatchObject({ state: 'approved', usesLeft: 1, decidedAt: NOW + 1 });
  });

  test('D5 it is used once, whoever tries at the same time, and its content goes', async () => {
    const { store, openAnother } = current();
    const other = await openAnother();
    await approved();
    const tries = Array.from({ length: 12 }, (_, n) => (n % 2 === 0 ? store : other).approvals.use(ACME, id, NOW + 2));
    expect(await countWinners(tries)).toBe(1);
    expect(await store.approvals.get(ACME, id)).toMatchObject({ state: 'used', usesLeft: 0, endedAt: NOW + 2 });
    expect(await store.approvals.content(ACME, id)).toBeUndefined();
  });

  test('D5 for a task it is used so often and no more', async () => {
    const { approvals } = current().store;
    await approved({}, 3);
    expect(await approvals.get(ACME, id)).toMatchObject({ scope: 'task', usesLeft: 3 });
    const other = { callKey: 'call-2', toolKey: 'tool-1' };
    expect((await approvals.about(ACME, other, NOW + 2)).map((one) => one.id)).toEqual([id]);
    expect(await approvals.about(ACME, { callKey: 'call-1', toolKey: 'tool-2' }, NOW + 2)).toEqual([]);
    expect(await countWinners(Array.from({ length: 6 }, () => approvals.use(ACME, id, NOW + 2)))).toBe(3);
    expect(await approvals.about(ACME, other, NOW + 2)).toEqual([]);
  });

  test('D5 what is pending, out of time, or of a task that is not active is not used', async () => {
    const { approvals, tasks } = current().store;
    await tasks.insert(sampleTask());
    await approvals.open(sampleApproval(), CONTENT);
    expect(await approvals.use(ACME, id, NOW + 1)).toBe(false);
    for (const who of ['os:ann', 'os:bo']) await approvals.decide(ACME, sampleVerdict(who), conclude);
    expect(await approvals.use(ACME, id, NOW + 900_000)).toBe(false);
    await tasks.setState(ACME, taskId('tsk_one'), 'suspended');
    expect(await approvals.use(ACME, id, NOW + 2)).toBe(false);
    await tasks.end(ACME, taskId('tsk_one'), 'completed', NOW + 3);
    expect(await approvals.use(ACME, id, NOW + 4)).toBe(false);
  });

  test('I1 D5 an approval, a task, a revocation of the same name that is another tenant’s changes nothing of it', async () => {
    const { approvals, tasks, revocations } = current().store;
    await tasks.insert(sampleTask({ tenant: RIVAL }));
    const theirs = sampleApproval({ tenant: RIVAL, requestedAt: NOW - 9, expiresAt: NOW - 1 });
    await approvals.open(theirs, CONTENT);
    await approved({}, 3);
    expect(await approvals.get(RIVAL, id), 'nobody there has asked since').toEqual(theirs);
    const stop = { action: 'revoke', subject: { kind: 'all', id: '' }, by: 'dana', reason: 'x', at: NOW } as const;
    await revocations.append({ tenant: RIVAL, ...stop });
    expect(await approvals.use(ACME, id, NOW + 2)).toBe(true);
    await tasks.setState(ACME, taskId('tsk_one'), 'suspended');
    expect(await approvals.use(ACME, id, NOW + 2), 'theirs goes on, and this one does not').toBe(false);
    await approvals.end(ACME, { task: taskId('tsk_one') }, { state: 'ended', reason: 'over', at: NOW + 3 });
    expect(await approvals.get(RIVAL, id)).toEqual(theirs);
  });

  test('D5 nothing is decided, and nothing found to be decided, once its time is over', async () => {
    const { approvals } = current().store;
    await approvals.open(sampleApproval(), CONTENT);
    const late = NOW + 900_000;
    expect(await approvals.about(ACME, sampleApproval(), late - 1)).toHaveLength(1);
    expect(await approvals.about(ACME, sampleApproval(), late)).toEqual([]);
    expect(await approvals.decide(ACME, sampleVerdict('os:ann', { at: late }), conclude)).toBeUndefined();
    expect(await approvals.verdicts(ACME, id)).toEqual([]);
  });

  const stops: [RevocationAction, RevocationSubject['kind'], string, boolean][] = [
    ['revoke', 'all', '', true],
    ['suspend', 'agent', 'reporter', true],
    ['revoke', 'task', 'tsk_one', true],
    ['suspend', 'connector', 'shop_db', true],
    ['suspend', 'agent', 'another', false],
    ['revoke', 'task', 'tsk_other', false],
    ['resume', 'agent', 'reporter', false],
  ];
  test.each(stops)(
    'D5 V2 a use cannot pass a %s of %s %s that is in the log, whatever has been read of it',
    async (action, kind, subject, isStopped) => {
      const { approvals, revocations } = current().store;
      const entry = { tenant: ACME, action, subject: { kind, id: subject }, by: 'dana', reason: 'x', at: NOW } as const;
      await revocations.append(entry);
      await approved({ logPosition: 1 });
      // One that came before the request is none of its business, the next one is.
      await revocations.append(entry);
      expect(await approvals.use(ACME, id, NOW + 2)).toBe(!isStopped);
    },
  );

  test('V2 what is open of a task or connector is ended at once, and expired ones by their time', async () => {
    const { approvals } = current().store;
    const one = (n: number, change: Partial<Approval> = {}): Approval =>
      sampleApproval({ id: approvalId(`apr_${n}`), callKey: `call-${n}`, ...change });
    for (const approval of [
      one(1),
      one(2, { task: taskId('tsk_two') }),
      one(3, { task: taskId('tsk_three'), connector: connectorId('files') }),
      one(4, { task: taskId('tsk_four'), expiresAt: NOW + 5 }),
    ])
      await approvals.open(approval, CONTENT);
    const as = { state: 'ended', reason: 'over', at: NOW + 9 } as const;
    const ids = (ended: readonly Approval[]): string[] => ended.map((ending) => ending.id);
    expect(ids(await approvals.end(ACME, { task: taskId('tsk_one') }, as))).toEqual(['apr_1']);
    expect(ids(await approvals.end(ACME, { connector: connectorId('files') }, as))).toEqual(['apr_3']);
    expect(ids(await approvals.end(ACME, { expiredAt: NOW + 5 }, { ...as, state: 'expired' }))).toEqual(['apr_4']);
    expect(ids(await approvals.end(ACME, { task: taskId('tsk_one') }, as))).toEqual([]);
    expect(await approvals.get(ACME, approvalId('apr_1'))).toMatchObject({
      state: 'ended',
      endReason: 'over',
      endedAt: NOW + 9,
    });
    expect(await approvals.content(ACME, approvalId('apr_1'))).toBeUndefined();
    expect(
      await approvals.decide(ACME, sampleVerdict('os:ann', { approval: approvalId('apr_1') }), conclude),
    ).toBeUndefined();
    expect((await approvals.list(ACME, { states: ['pending'] }, 9)).map((open) => open.id)).toEqual(['apr_2']);
    expect(await approvals.list(ACME, { task: taskId('tsk_one') }, 9)).toHaveLength(1);
  });

  test('a rotation of the vault’s key finds and changes the sealed arguments', async () => {
    const { approvals, sealedRows } = current().store;
    await approvals.open(sampleApproval(), CONTENT);
    const [row] = await sealedRows.under([ACME], ['kek-1'], 10);
    expect(row).toMatchObject({ kind: 'approval', id, keyId: 'kek-1' });
    if (row === undefined) throw new Error('none');
    expect(await sealedRows.replace(row, { keyId: 'kek-2', envelope: Buffer.from([9]) })).toBe(true);
    expect(await approvals.content(ACME, id)).toEqual({ keyId: 'kek-2', envelope: Buffer.from([9]) });
    expect((await sealedRows.countByKey([ACME])).get('kek-2')).toBe(1);
  });
}
