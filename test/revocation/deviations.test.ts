import { expect, it } from 'vitest';
import { taskId } from '../../src/domain/ids.ts';
import { createDeviations } from '../../src/revocation/deviations.ts';
import type { RevocationOrder } from '../../src/revocation/revoke.ts';

const TASK = taskId('tsk_a');

function makeDeviations(consequence: 'suspend' | 'revoke', fails: { record?: boolean; order?: boolean } = {}) {
  const done: (RevocationOrder | Readonly<Record<string, unknown>>)[] = [];
  const deviations = createDeviations({
    limit: 3,
    consequence,
    async record(_, detail) {
      if (fails.record === true) throw new Error('the log is full');
      done.push(detail);
    },
    async order(order) {
      if (fails.order === true) throw new Error('the store does not answer');
      done.push(order);
    },
  });
  return { ...deviations, done };
}

it.each([
  ['V2 the third deviation of a task suspends it, the first two are marked', 'suspend', 'suspended'],
  ['V2 the third deviation of a task ends it, the first two are marked', 'revoke', 'ended'],
] as const)('%s', async (_, action, last) => {
  const { deviated, done } = makeDeviations(action);
  await deviated(taskId('tsk_other'), 'another task');
  expect([await deviated(TASK, 'one'), await deviated(TASK, 'two')]).toEqual(['marked', 'marked']);
  expect(await deviated(TASK, 'three')).toBe(last);
  expect(done.slice(1)).toMatchObject([
    { what: 'one', consequence: 'marked' },
    { what: 'two', consequence: 'marked' },
    { what: 'three', count: 3, consequence: last },
    { action, subject: { kind: 'task', id: TASK }, by: 'remit:deviation', reason: '3 deviations, the last: three' },
  ]);
});

it('V1 whoever tells of a deviation denies when it cannot be recorded, or what follows cannot be made durable', async () => {
  await expect(makeDeviations('suspend', { record: true }).deviated(TASK, 'one')).rejects.toThrow('full');
  const { deviated, forgetTask } = makeDeviations('revoke', { order: true });
  await deviated(TASK, 'one');
  await deviated(TASK, 'two');
  await expect(deviated(TASK, 'three')).rejects.toThrow('does not answer');
  await expect(deviated(TASK, 'four')).rejects.toThrow('does not answer');
  forgetTask(TASK);
  expect(await deviated(TASK, 'one again')).toBe('marked');
});
