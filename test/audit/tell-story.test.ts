import { describe, expect, it } from 'vitest';
import { readRecords } from '../../src/audit/read-records.ts';
import { createRecorder, type RecordEntry } from '../../src/audit/recorder.ts';
import { type StorySubject, subjectOf, tellStory } from '../../src/audit/tell-story.ts';
import { agentId, connectorId, leaseId, taskId, toolRef, traceId } from '../../src/domain/ids.ts';
import { memoryJournal, TENANT } from './fixtures.ts';

const TASK = {
  task: taskId('tsk_a'),
  trace: traceId('a'.repeat(32)),
  agent: agentId('bot'),
  user: 'https://idp#alice',
};
const OTHER = { task: taskId('tsk_b'), trace: traceId('b'.repeat(32)), agent: agentId('bot') };
const LEASE = leaseId('lse_a');
const PROVED = { workload: 'private_key_jwt:abc', actors: [agentId('helper')] };
const AT = { connector: connectorId('shop'), tool: toolRef(connectorId('shop'), 'query') };
const span = (n: number): string => String(n).padStart(16, '0');

const HISTORY: readonly RecordEntry[] = [
  { type: 'gateway_started', detail: {} },
  { type: 'task_started', ...TASK, detail: { purpose: 'look at orders' } },
  { type: 'token_issued', ...TASK, detail: { token: 'jti-1' } },
  { type: 'token_issued', ...TASK, detail: { token: 'jti-2' } },
  { type: 'task_started', ...OTHER, detail: { purpose: 'something else' } },
  { type: 'prompt', ...TASK, span: span(1), detail: { digest: 'sha256:one' } },
  { type: 'prompt', ...TASK, span: span(2), detail: { digest: 'sha256:two' } },
  { type: 'discovery', ...TASK, ...PROVED, span: span(3), detail: { effect: 'list' } },
  { type: 'discovery', ...TASK, ...PROVED, span: span(4), detail: { effect: 'list' } },
  { type: 'discovery', ...OTHER, ...PROVED, span: span(5), detail: { effect: 'list' } },
  {
    type: 'decision',
    ...TASK,
    ...PROVED,
    ...AT,
    span: span(6),
    detail: { verdict: 'permit', prompt: 'sha256:two', token: 'jti-2', purpose: 'look at orders' },
  },
  { type: 'credential_intended', ...TASK, connector: AT.connector, lease: LEASE, detail: {} },
  { type: 'credential_issued', ...TASK, connector: AT.connector, lease: LEASE, detail: { scope: 'SELECT' } },
  { type: 'credential_used', ...TASK, ...PROVED, ...AT, lease: LEASE, span: span(6), detail: {} },
  { type: 'credential_used', ...TASK, ...PROVED, ...AT, lease: LEASE, span: span(7), detail: {} },
  { type: 'outcome', ...TASK, ...PROVED, ...AT, lease: LEASE, span: span(6), detail: { status: 'ok' } },
  { type: 'discovery', ...TASK, ...PROVED, span: span(8), detail: { effect: 'list' } },
  { type: 'revocation', ...TASK, connector: AT.connector, lease: LEASE, detail: { outcome: 'revoked' } },
  { type: 'revocation', ...TASK, connector: AT.connector, lease: leaseId('lse_b'), detail: { outcome: 'revoked' } },
  { type: 'task_ended', ...TASK, detail: { reason: 'completed' } },
  { type: 'task_ended', ...OTHER, detail: { reason: 'completed' } },
];

async function story(subject: StorySubject, history: readonly RecordEntry[] = HISTORY) {
  const journal = memoryJournal();
  let now = 1_000_000;
  const recorder = createRecorder({ journal, clock: () => (now += 10), tenant: TENANT });
  for (const entry of history) await recorder.record(entry);
  return tellStory(() => readRecords(journal.read(0)), subject);
}

describe('a story', () => {
  it('A2 of a call goes from the prompt to the revocation, and holds nothing of another', async () => {
    const told = await story({ kind: 'call', span: span(6) });
    expect(told?.steps.map(({ step, record }) => `${step} ${record.seq}`)).toEqual([
      'task 1',
      'token 3',
      'prompt 6',
      'discovery 8',
      'decision 10',
      'lease 11',
      'lease 12',
      'call 13',
      'outcome 15',
      'revocation 17',
      'task 19',
    ]);
    expect(told).toMatchObject({
      human: 'https://idp#alice',
      machine: { agent: 'bot', actors: ['helper'], workload: 'private_key_jwt:abc' },
      task: 'tsk_a',
      trace: TASK.trace,
      purpose: 'look at orders',
      omitted: 0,
    });
  });

  it('counts times from the subject’s own first record', async () => {
    const told = await story({ kind: 'call', span: span(6) });
    expect(told?.steps.find(({ step }) => step === 'decision')?.afterMs).toBe(0);
    expect(told?.steps.find(({ step }) => step === 'prompt')?.afterMs).toBe(-40);
    expect(told?.steps.find(({ step }) => step === 'outcome')?.afterMs).toBe(50);
  });

  it('of an agent that acts for nobody says so', async () => {
    expect(await story({ kind: 'task', task: OTHER.task })).toMatchObject({
      human: null,
      steps: [{ step: 'task' }, { step: 'discovery' }, { step: 'task' }],
    });
  });

  it('of a lease is its life and its task’s', async () => {
    const told = await story({ kind: 'lease', lease: LEASE });
    expect(told?.steps.map(({ record }) => record.seq)).toEqual([1, 11, 12, 13, 14, 15, 17, 19]);
  });

  it('of a task and of its trace are the same', async () => {
    const byTask = await story({ kind: 'task', task: TASK.task });
    const byTrace = await story({ kind: 'trace', trace: TASK.trace });
    expect(byTask?.steps).toEqual(byTrace?.steps);
    expect(byTask?.steps).toHaveLength(HISTORY.length - 4);
  });

  it('of nothing is none', async () => {
    expect(await story({ kind: 'call', span: span(99) })).toBeUndefined();
  });

  it('I3 that is too long is told by its ends, and says how much it left out', async () => {
    const many = Array.from({ length: 9_000 }, (_, n) => ({
      type: 'outcome' as const,
      ...TASK,
      span: span(n),
      detail: {},
    }));
    const told = await story({ kind: 'task', task: TASK.task }, [
      HISTORY[1] as RecordEntry,
      ...many,
      HISTORY[19] as RecordEntry,
    ]);
    expect(told?.steps.length).toBeLessThanOrEqual(6_000);
    expect((told?.steps.length ?? 0) + (told?.omitted ?? 0)).toBe(9_002);
    expect(told?.steps[0]?.record.type).toBe('task_started');
    expect(told?.steps.at(-1)?.record.type).toBe('task_ended');
  });
});

describe('subjectOf', () => {
  it('reads off an id what it is of', () => {
    expect(subjectOf('tsk_abc')).toEqual({ kind: 'task', task: 'tsk_abc' });
    expect(subjectOf('lse_abc')).toEqual({ kind: 'lease', lease: 'lse_abc' });
    expect(subjectOf('a'.repeat(32))).toEqual({ kind: 'trace', trace: 'a'.repeat(32) });
    expect(subjectOf('0'.repeat(16))).toEqual({ kind: 'call', span: '0'.repeat(16) });
    for (const none of ['', 'x', '12', 'A'.repeat(16), 'tsk_', 'tsk_a b']) expect(subjectOf(none)).toBeUndefined();
  });
});
