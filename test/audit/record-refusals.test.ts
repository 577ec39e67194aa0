import { expect, it } from 'vitest';
import { createRefusalRecorder } from '../../src/audit/record-refusals.ts';
import type { RecordEntry } from '../../src/audit/recorder.ts';

it('a flood of refusals is recorded as its first few and a count, and a quiet time later one by one again', () => {
  const records: RecordEntry[] = [];
  let now = 1_000_000;
  const refuse = createRefusalRecorder({ recordLater: (entry) => records.push(entry), clock: () => now });
  for (let i = 0; i < 1_000; i++) refuse({ reason: 'bad signature' });
  expect(records).toHaveLength(20);
  now += 1_000;
  refuse({ reason: 'expired' });
  expect(records.at(-1)).toEqual({
    type: 'authentication_refused',
    detail: { reason: 'expired', notRecordedBefore: 980 },
  });
  refuse({ reason: 'expired' });
  expect(records.at(-1)?.detail).toEqual({ reason: 'expired' });
});

it('a clock set back does not stop recording', () => {
  const records: RecordEntry[] = [];
  let now = 1_000_000;
  const refuse = createRefusalRecorder({ recordLater: (entry) => records.push(entry), clock: () => now });
  for (let i = 0; i < 30; i++) refuse({});
  now -= 3_600_000;
  refuse({});
  expect(records).toHaveLength(21);
});
