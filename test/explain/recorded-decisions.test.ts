import { expect, it } from 'vitest';
import { observeTask } from '../../src/audit/observe-task.ts';
import { findStoryStart } from '../../src/audit/read-backwards.ts';
import { createDecisionFold } from '../../src/audit/recorded-decisions.ts';
import type { TaskId } from '../../src/domain/ids.ts';
import type { AuditRecord } from '../../src/domain/record.ts';

let seq = 0;
const base = {
  time: '2026-07-01T08:00:00.000Z',
  tenant: 'default',
  agent: 'clerk',
  tool: 'mail/search',
  trace: '0'.repeat(32),
};

const record = (type: string, task: string, detail: object, span?: string): AuditRecord =>
  ({ ...base, seq: seq++, type, task, detail, ...(span && { span }) }) as unknown as AuditRecord;

const started = (task: string, calls: number, more: object = {}): AuditRecord =>
  record('task_started', task, {
    template: 'office',
    purpose: 'work',
    actionClasses: ['read'],
    tools: ['mail/*'],
    resources: [],
    calls,
    started: base.time,
    expires: '2026-07-01T09:00:00.000Z',
    ...more,
  });

const flow = (trust: string, before?: string) => ({
  flow: {
    labels: { trust, dataClasses: [], zones: [] },
    ...(before && { before: { trust: before, dataClasses: [], zones: [] } }),
    outward: 0,
    provenance: [],
  },
});
const permit = (task: string, span: string, more: object = {}): AuditRecord =>
  record('decision', task, { verdict: 'permit', effect: 'call', ...more }, span);

const family = (): AuditRecord[] => [
  started('tsk_top', 3),
  started('tsk_child', 2, { parent: 'tsk_top' }),
  permit('tsk_child', 'a', flow('untrusted', 'trusted')),
  permit('tsk_top', 'b'),
  permit('tsk_child', 'c'),
];

it('a budget is of a task with all below it, and so is what was read', () => {
  const fold = createDecisionFold();
  const decided = family().flatMap((one) => fold(one) ?? []);
  expect(decided.map(({ callsLeft }) => callsLeft)).toEqual([2, 2, 1]);
  expect(decided.map(({ before, after }) => [before.trust, after.trust])).toEqual([
    ['trusted', 'untrusted'],
    ['untrusted', 'untrusted'],
    ['untrusted', 'untrusted'],
  ]);
});

it('a task whose record is from before this is known as not whole, and one without any as unknown', () => {
  const fold = createDecisionFold();
  fold(started('tsk_old', 3, { started: undefined }));
  expect(fold(permit('tsk_old', 'a'))?.isWhole).toBe(false);
  expect(fold(permit('tsk_gone', 'b'))).toMatchObject({ task: undefined, isWhole: false, callsLeft: Number.NaN });
});

it('what tasks below have called counts for the budget of the one above, and they are named', async () => {
  async function* records() {
    yield* family();
  }
  const seen = await observeTask(records(), 'tsk_top' as TaskId);
  expect(seen).toMatchObject({ callsUsed: 3, children: ['tsk_child'] });
  expect(seen?.items).toEqual([{ tool: 'mail/search', permitted: 1, denied: 0, held: 0 }]);
});

it('the story of a call of a child begins with the task at the top', async () => {
  const payloads = family().map(({ seq: _, ...rest }) => Buffer.from(JSON.stringify(rest)));
  const reader = {
    starts: async () => [0, 1, 2],
    async *read(from: number) {
      for (const [position, payload] of payloads.entries()) if (position >= from) yield { position, payload };
    },
  };
  expect(await findStoryStart(reader, { kind: 'call', span: 'c' })).toBe(0);
});

const adopted = (task: string, calls: number, used: number, more: object = {}): AuditRecord => {
  const { detail } = started(task, calls, { used, ...flow('untrusted'), ...more });
  return record('task_adopted', task, detail);
};

it('a task that came from another node goes on with what it had used and read there', async () => {
  const fold = createDecisionFold();
  fold(adopted('tsk_moved', 10, 4, { from: 'nb' }));
  expect(fold(permit('tsk_moved', 'a'))).toMatchObject({
    task: { purpose: 'work', bounds: { calls: 10 } },
    isWhole: true,
    callsLeft: 6,
    before: { trust: 'untrusted' },
  });
  async function* records() {
    yield* [
      started('tsk_moved', 10),
      permit('tsk_moved', 'a'),
      adopted('tsk_moved', 10, 5, { from: 'nb' }),
      permit('tsk_moved', 'b'),
    ];
  }
  expect(await observeTask(records(), 'tsk_moved' as TaskId)).toMatchObject({ callsUsed: 6 });
});
