import { expect, test } from 'vitest';
import { agentId, taskId } from '../../src/domain/ids.ts';
import type { RevocationAction, RevocationEntry, RevocationSubject } from '../../src/domain/revocation.ts';
import type { StoreFixture } from '../suites/store-suite.ts';
import { ACME, NOW, RIVAL, sampleTask } from './samples.ts';

const entry = (
  action: RevocationAction,
  kind: RevocationSubject['kind'],
  id = '',
  change: Partial<RevocationEntry> = {},
): RevocationEntry => ({
  tenant: ACME,
  action,
  subject: { kind, id },
  by: 'dana',
  reason: 'a “reason”',
  at: NOW,
  ...change,
});

export function testRevocations(current: () => StoreFixture): void {
  test('V1 an empty log has position 0 and nothing to read', async () => {
    const { revocations } = current().store;
    expect(await revocations.read(ACME, 0, 10)).toEqual({ head: 0, rows: [] });
    expect(await revocations.standing(ACME)).toEqual({ head: 0, rows: [] });
  });

  test('V1 rows come back as they were appended, in pieces, and to another node too', async () => {
    const { store, openAnother } = current();
    const other = await openAnother();
    const rows = [];
    for (let n = 1; n <= 5; n += 1) {
      const row = await (n % 2 === 0 ? other : store).revocations.append(entry('suspend', 'task', `tsk_${n}`));
      expect(row).toEqual({ ...entry('suspend', 'task', `tsk_${n}`), position: n });
      rows.push(row);
    }
    expect(await other.revocations.read(ACME, 0, 100)).toEqual({ head: 5, rows });
    expect(await store.revocations.read(ACME, 2, 2)).toEqual({ head: 5, rows: rows.slice(2, 4) });
    expect(await store.revocations.read(ACME, 5, 2)).toEqual({ head: 5, rows: [] });
  });

  test('V1 positions have no gaps whoever appends at the same time, and a reader never sees one before those below it', async () => {
    const { store, openAnother } = current();
    const other = await openAnother();
    let isDone = false;
    const watching = (async () => {
      let after = 0;
      while (!isDone) {
        const { head, rows } = await other.revocations.read(ACME, after, 1000);
        expect(rows.map(({ position }) => position)).toEqual(rows.map((_, n) => after + 1 + n));
        expect(head).toBe(after + rows.length);
        after = head;
        await new Promise((resolve) => setImmediate(resolve));
      }
    })();
    const made = await Promise.all(
      Array.from({ length: 40 }, (_, n) =>
        (n % 2 === 0 ? store : other).revocations.append(entry('revoke', 'task', `tsk_${n}`)),
      ),
    );
    isDone = true;
    await watching;
    expect(made.map(({ position }) => position).sort((a, b) => a - b)).toEqual(
      Array.from({ length: 40 }, (_, n) => n + 1),
    );
  });

  test('V1 an append in a transaction that is undone leaves no gap behind', async () => {
    const { store } = current();
    const undone = store.transaction(async ({ revocations }) => {
      await revocations.append(entry('revoke', 'all'));
      throw new Error('undo');
    });
    await expect(undone).rejects.toThrow('undo');
    expect((await store.revocations.append(entry('revoke', 'task', 'tsk_1'))).position).toBe(1);
    expect((await store.revocations.read(ACME, 0, 10)).rows).toHaveLength(1);
  });

  test('I1 each tenant has a log of its own', async () => {
    const { revocations } = current().store;
    await revocations.append(entry('revoke', 'all'));
    const rival = await revocations.append(entry('suspend', 'agent', 'bot', { tenant: RIVAL }));
    expect(rival.position).toBe(1);
    expect((await revocations.standing(RIVAL)).rows).toEqual([rival]);
    expect((await revocations.read(RIVAL, 0, 10)).rows).toEqual([rival]);
  });

  test('what is still held back: the newest row of each subject, of tasks while they have not ended', async () => {
    const { revocations, tasks } = current().store;
    for (const id of ['tsk_live', 'tsk_over', 'tsk_back']) await tasks.insert(sampleTask({ id: taskId(id) }));
    await tasks.end(ACME, taskId('tsk_over'), 'expired', NOW);
    await tasks.insert(sampleTask({ id: taskId('tsk_over'), tenant: RIVAL }));
    await revocations.append(entry('suspend', 'agent', 'gone-on'));
    const held = [
      await revocations.append(entry('suspend', 'agent', 'bot')),
      await revocations.append(entry('suspend', 'task', 'tsk_live')),
    ];
    await revocations.append(entry('suspend', 'task', 'tsk_over'));
    await revocations.append(entry('suspend', 'task', 'tsk_back'));
    await revocations.append(entry('revoke', 'lease', 'lse_1'));
    await revocations.append(entry('revoke', 'all'));
    await revocations.append(entry('resume', 'all'));
    await revocations.append(entry('resume', 'task', 'tsk_back'));
    await revocations.append(entry('resume', 'agent', 'gone-on'));
    held.push(await revocations.append(entry('revoke', 'connector', 'shop')));
    expect(await revocations.standing(ACME)).toEqual({ head: 11, rows: held });
  });

  test('V1 what is let go on is that subject alone, of that kind and tenant, whatever has the same name', async () => {
    const { revocations } = current().store;
    const held = await revocations.append(entry('suspend', 'agent', 'shop'));
    await revocations.append(entry('suspend', 'connector', 'shop'));
    await revocations.append(entry('resume', 'connector', 'shop'));
    for (let n = 0; n < 4; n += 1) await revocations.append(entry('resume', 'agent', 'shop', { tenant: RIVAL }));
    expect((await revocations.standing(ACME)).rows).toEqual([held]);
  });

  test('a task is revoked by a later row that names it, its agent or everything, and by no earlier one', async () => {
    const { revocations, tasks } = current().store;
    await revocations.append(entry('revoke', 'agent', 'bot'));
    await revocations.append(entry('suspend', 'task', 'tsk_b'));
    const bot = agentId('bot');
    await tasks.insert(sampleTask({ id: taskId('tsk_before'), agent: bot }));
    await tasks.insert(sampleTask({ id: taskId('tsk_after'), agent: bot }), 1);
    await tasks.insert(sampleTask({ id: taskId('tsk_b') }), 1);
    await tasks.insert(sampleTask({ id: taskId('tsk_a') }), 1);
    expect(await tasks.revoked(ACME)).toEqual(['tsk_before']);
    await revocations.append(entry('revoke', 'task', 'tsk_a'));
    expect((await tasks.revoked(ACME)).sort()).toEqual(['tsk_a', 'tsk_before']);
    await revocations.append(entry('revoke', 'all'));
    await tasks.end(ACME, taskId('tsk_a'), 'revoked', NOW);
    expect((await tasks.revoked(ACME)).sort()).toEqual(['tsk_after', 'tsk_b', 'tsk_before']);
    expect(await tasks.revoked(RIVAL)).toEqual([]);
  });

  test('a task is noted as suspended and as active, and not once it has ended', async () => {
    const { tasks } = current().store;
    await tasks.insert(sampleTask());
    await tasks.setState(ACME, taskId('tsk_one'), 'suspended');
    expect(await tasks.list(ACME, { state: 'suspended' })).toEqual([sampleTask({ state: 'suspended' })]);
    await tasks.setState(ACME, taskId('tsk_one'), 'active');
    expect(await tasks.get(ACME, taskId('tsk_one'))).toEqual(sampleTask());
    await tasks.end(ACME, taskId('tsk_one'), 'completed', NOW);
    await tasks.setState(ACME, taskId('tsk_one'), 'active');
    expect(await tasks.get(ACME, taskId('tsk_one'))).toMatchObject({ state: 'ended' });
  });
}
