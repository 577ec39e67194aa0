import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { createRecorder, type RecordEntry } from '../../src/audit/recorder.ts';
import { emptyTrailState, foldEntry, foldPayload, type TrailState } from '../../src/audit/trail-state.ts';
import { taskId } from '../../src/domain/ids.ts';
import { decision, memoryJournal, NOW, TENANT } from './fixtures.ts';

const task = fc.constantFrom(taskId('tsk_a'), taskId('tsk_b'), taskId('tsk_c'));
const span = fc.constantFrom('s1', 's2', 's3', 's4');
const effect = fc.constantFrom('call', 'follow', 'ask', 'list');
const verdict = fc.constantFrom('permit', 'deny', 'step_up');
const flow: fc.Arbitrary<RecordEntry['flow']> = fc.constantFrom(
  undefined,
  { labels: { trust: 'untrusted', dataClasses: ['pii'], zones: ['eu'] }, outward: 1, provenance: [] },
  {
    labels: { trust: 'internal', dataClasses: ['pii'], zones: ['us'] },
    outward: 2,
    provenance: [],
    family: taskId('tsk_c'),
  },
);

/** As the pipeline writes a decision: its detail a text, and what the text says of the present beside it. */
const inText = fc.record({ task, span, effect: fc.constantFrom('call', 'follow'), verdict, flow }).map(
  (of): RecordEntry => ({
    ...decision(of.task, of.span),
    detail: JSON.stringify({ effect: of.effect, verdict: of.verdict, ...(of.flow && { flow: of.flow }) }),
    permits: of.verdict === 'permit' ? (of.effect as 'call' | 'follow') : undefined,
    flow: of.flow,
  }),
);
const entry: fc.Arbitrary<RecordEntry> = fc.oneof(
  inText,
  fc.record({ task, span, effect, verdict }).map((of) => decision(of.task, of.span, of)),
  fc
    .record({ task, span })
    .map((of): RecordEntry => ({ ...decision(of.task, of.span), type: 'outcome', detail: '{"status":"ok"}' })),
  task.map((of): RecordEntry => ({ ...decision(of, 's1'), type: 'task_started', detail: {} })),
  task.map((of): RecordEntry => ({ ...decision(of, 's1'), type: 'task_ended', detail: { reason: 'completed' } })),
  task.map((of): RecordEntry => ({ ...decision(of, 's1'), type: 'prompt', detail: { digest: 'd1' } })),
  fc.constant({ type: 'records_removed', detail: { end: 1 } } as RecordEntry),
  fc.constant({ type: 'credential_used', detail: '{}' } as RecordEntry),
);

const facts = ({ upTo, open, tasks, removedBefore }: TrailState) => ({
  upTo,
  open: [...open].map(([key, { seq }]) => [key, seq]),
  tasks: [...tasks],
  removedBefore,
});

describe('a state that follows what is recorded', () => {
  it('A1 is the state that reading the trail gives', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(entry, { maxLength: 40 }), fc.nat(40), async (entries, from) => {
        const journal = memoryJournal();
        const followed = emptyTrailState();
        let isFollowing = from === 0;
        const recorder = createRecorder({
          journal,
          clock: () => NOW,
          tenant: TENANT,
          follow: (position, what) => isFollowing && foldEntry(followed, position, what),
        });
        for (const [index, what] of entries.entries()) {
          if (index === from) {
            for await (const { position, payload } of journal.read(0)) foldPayload(followed, position, payload);
            isFollowing = true;
          }
          if (index % 2 === 0) await recorder.record(what);
          else recorder.recordLater(what, () => {});
        }
        if (!isFollowing) return;
        const read = emptyTrailState();
        for await (const { position, payload } of journal.read(0)) foldPayload(read, position, payload);
        expect(facts(followed)).toEqual(facts(read));
      }),
    );
  });

  it('leaves to reading what its entry does not say, and all behind it', async () => {
    const followed = emptyTrailState();
    foldEntry(followed, 0, decision(taskId('tsk_a'), 's1'));
    foldEntry(followed, 1, { ...decision(taskId('tsk_a'), 's1'), type: 'prompt', detail: '{"digest":"d1"}' });
    foldEntry(followed, 2, decision(taskId('tsk_a'), 's2'));
    expect(followed.upTo).toBe(1);
    expect([...followed.open.keys()]).toEqual(['s1']);
  });

  it('A1 a state that cannot follow fails its record: nothing goes on as if all were well', async () => {
    const { record, recordLater } = createRecorder({
      journal: memoryJournal(),
      clock: () => NOW,
      tenant: TENANT,
      follow: () => {
        throw new Error('cannot follow');
      },
    });
    await expect(record(decision(taskId('tsk_a'), 's1'))).rejects.toThrow('cannot follow');
    const faults: unknown[] = [];
    recordLater(decision(taskId('tsk_a'), 's2'), (fault) => faults.push(fault));
    expect(faults).toEqual([new Error('cannot follow')]);
  });
});
