import { expect, test } from 'vitest';
import { agentId, taskId } from '../../src/domain/ids.ts';
import { countWinners, type StoreFixture } from '../suites/store-suite.ts';
import { ACME, NOW, RIVAL, sampleTask } from './samples.ts';

export function testTasks(current: () => StoreFixture): void {
  test('a task comes back as it was written', async () => {
    const { tasks } = current().store;
    const bare = sampleTask({ id: taskId('tsk_bare'), user: undefined, parent: taskId('tsk_one') });
    await tasks.insert(sampleTask());
    await tasks.insert(bare);
    expect(await tasks.get(ACME, taskId('tsk_one'))).toEqual(sampleTask());
    expect(await tasks.get(ACME, bare.id)).toEqual(bare);
    expect(await tasks.get(ACME, taskId('tsk_none'))).toBeUndefined();
  });

  test('tasks are listed by state, oldest first', async () => {
    const { tasks } = current().store;
    const later = sampleTask({ id: taskId('tsk_a_later'), startedAt: NOW + 1 });
    const ended = sampleTask({ id: taskId('tsk_ended'), startedAt: NOW + 2 });
    for (const task of [ended, later, sampleTask()]) await tasks.insert(task);
    await tasks.end(ACME, ended.id, 'completed', NOW + 3);
    expect((await tasks.list(ACME)).map(({ id }) => id)).toEqual(['tsk_one', 'tsk_a_later', 'tsk_ended']);
    expect((await tasks.list(ACME, { state: 'active' })).map(({ id }) => id)).toEqual(['tsk_one', 'tsk_a_later']);
    expect(await tasks.list(ACME, { state: 'ended' })).toEqual([
      { ...ended, state: 'ended', endReason: 'completed', endedAt: NOW + 3 },
    ]);
  });

  test('a task ends once, whoever asks at the same time', async () => {
    const { store, openAnother } = current();
    const other = await openAnother();
    await store.tasks.insert(sampleTask());
    const attempts = Array.from({ length: 12 }, (_, n) =>
      (n % 2 === 0 ? store : other).tasks.end(ACME, taskId('tsk_one'), n % 3 === 0 ? 'revoked' : 'expired', NOW + n),
    );
    expect(await countWinners(attempts)).toBe(1);
    const ended = await store.tasks.get(ACME, taskId('tsk_one'));
    expect(await store.tasks.end(ACME, taskId('tsk_one'), 'completed', NOW + 99)).toBe(false);
    expect(await store.tasks.get(ACME, taskId('tsk_one'))).toEqual(ended);
  });

  test('I3 no more tasks of an agent than are allowed are inserted, whoever asks at the same time', async () => {
    const { store, openAnother } = current();
    const other = await openAnother();
    await store.tasks.insert(sampleTask());
    await store.tasks.insert(sampleTask({ id: taskId('tsk_ended') }));
    await store.tasks.end(ACME, taskId('tsk_ended'), 'completed', NOW);
    const attempts = Array.from({ length: 12 }, (_, n) =>
      (n % 2 === 0 ? store : other).tasks.insertWithin(4, sampleTask({ id: taskId(`tsk_${n}`) })),
    );
    expect((await Promise.all(attempts)).filter((isIn) => isIn)).toHaveLength(3);
    expect(await store.tasks.list(ACME, { state: 'active' })).toHaveLength(4);
    const [full] = (await store.tasks.list(ACME, { state: 'active' })).slice(-1);
    await store.tasks.setState(ACME, taskId('tsk_one'), 'suspended');
    expect(await store.tasks.insertWithin(4, sampleTask({ id: taskId('tsk_over') })), 'a suspended one counts').toBe(
      false,
    );
    const theirs = sampleTask({ id: taskId('tsk_other'), agent: agentId('other') });
    expect(await store.tasks.insertWithin(4, theirs)).toBe(true);
    expect(await store.tasks.insertWithin(4, sampleTask({ id: taskId('tsk_rival'), tenant: RIVAL })), 'I1').toBe(true);
    await store.tasks.end(ACME, (full as { id: typeof theirs.id }).id, 'completed', NOW);
    expect(await store.tasks.insertWithin(4, sampleTask({ id: taskId('tsk_over') }))).toBe(true);
  });

  test('the same id twice is refused', async () => {
    const { tasks } = current().store;
    await tasks.insert(sampleTask());
    await expect(tasks.insert(sampleTask({ purpose: 'another' }))).rejects.toMatchObject({ code: 'ERR_STORE_LOCKED' });
    expect(await tasks.get(ACME, taskId('tsk_one'))).toEqual(sampleTask());
  });

  test('I1 another tenant neither sees nor ends a task, and may have one of the same id', async () => {
    const { tasks } = current().store;
    await tasks.insert(sampleTask());
    expect(await tasks.get(RIVAL, taskId('tsk_one'))).toBeUndefined();
    expect(await tasks.list(RIVAL)).toEqual([]);
    expect(await tasks.end(RIVAL, taskId('tsk_one'), 'revoked', NOW)).toBe(false);
    const theirs = sampleTask({ tenant: RIVAL, purpose: 'theirs' });
    await tasks.insert(theirs);
    expect(await tasks.end(RIVAL, taskId('tsk_one'), 'revoked', NOW)).toBe(true);
    expect(await tasks.get(ACME, taskId('tsk_one'))).toEqual(sampleTask());
  });
}
