import { expect, it } from 'vitest';
import { observeTask } from '../../src/audit/observe-task.ts';
import { readRecords } from '../../src/audit/read-records.ts';
import { comparisonText } from '../../src/cli/task-text.ts';
import { compareTask, type TaskComparison } from '../../src/compose/explain/compare-task.ts';
import type { Task } from '../../src/domain/task.ts';
import { makeOffice, type Office } from './recorded-office.ts';

async function shown(office: Office, task: Task): Promise<TaskComparison> {
  const seen = await observeTask(readRecords(office.reader.read(0)), task.id);
  if (seen === undefined) throw new Error('the task is not there');
  return compareTask(seen, office.estate);
}

it('declared and observed stand side by side, with what was never used and what was held', async () => {
  const office = await makeOffice();
  const other = office.start({ agent: 'payer' });
  const task = office.start({ tools: ['mail/search', 'mail/send', 'mail/archive'], purpose: 'answer mail' });
  await office.list(task);
  await office.call(task, 'mail/search', { query: 'bills' });
  await office.call(task, 'mail/search', { query: 'bills' });
  await office.call(task, 'mail/send', { to: 'eve@evil.example' });
  await office.call(task, 'mail/send', { to: 'bob@shop.example' }, true);
  await office.call(task, 'bank/balance');
  await office.call(other, 'bank/balance');
  const comparison = await shown(office, task);
  const of = (name: string) => comparison.bounds.find(({ bound }) => bound === name);
  expect(of('tools')).toEqual({
    bound: 'tools',
    declared: ['mail/search', 'mail/send', 'mail/archive'],
    observed: ['mail/search 2×', 'mail/send 1×, 1 held', 'bank/balance 0×, 1 denied'],
    unused: ['mail/archive'],
  });
  expect(of('classes')).toMatchObject({ observed: ['read 2×', 'export 1×'], unused: ['write', 'financial'] });
  expect(of('calls')).toMatchObject({ declared: ['40'], observed: ['3'], unused: ['37'] });
  expect(of('destinations')?.observed).toEqual(['held: mail/send to from nowhere, pointed needed, 2×']);
  expect(comparison.seen.labels).toEqual({ trust: 'untrusted', dataClasses: ['personal'], zones: ['internal'] });
  const text = comparisonText(comparison);
  expect(text).toContain('answer mail');
  expect(text).not.toContain('evil.example');
  await office.end(task);
  expect((await shown(office, task)).seen.state).toBe('ended (completed)');
});

it('a task whose start is not on the trail is not guessed at', async () => {
  const office = await makeOffice();
  expect(await observeTask(readRecords(office.reader.read(0)), 'tsk_none' as Task['id'])).toBeUndefined();
});
