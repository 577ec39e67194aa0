import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { createRecordEncoder } from '../../src/audit/encode-record.ts';
import type { RecordEntry } from '../../src/audit/recorder.ts';
import { RECORD_TYPES } from '../../src/domain/record.ts';
import { decision, IDENTITY, NOW, TASK, TENANT } from './fixtures.ts';

/** Few values, so that what is kept is used and is displaced. */
const few = (...values: string[]) => fc.option(fc.constantFrom(...values, '"\\\u0000é\ud800'), { nil: undefined });
const entries = fc.record({
  type: fc.constantFrom(...RECORD_TYPES),
  trace: few('t1', 't2'),
  span: few('s1', 's2'),
  user: few('idp#alice', 'idp#bob'),
  agent: few('a1', 'a2'),
  actors: fc.option(fc.array(fc.constantFrom('x', 'y'), { maxLength: 2 }), { nil: undefined }),
  workload: few('w1', 'w2'),
  connector: few('c1', 'c2'),
  tool: few('c1/t', 'c2/t'),
  task: few('tsk_a', 'tsk_b'),
  lease: few('l1', 'l2'),
  detail: fc.dictionary(fc.string(), fc.jsonValue(), { maxKeys: 3 }),
});

describe('the text of a record', () => {
  it('A2 says exactly what the entry says, whatever was written before', () => {
    fc.assert(
      fc.property(fc.array(fc.tuple(entries, fc.integer({ min: 0, max: 4_000 })), { maxLength: 20 }), (list) => {
        const encode = createRecordEncoder(TENANT);
        for (const [entry, after] of list) {
          const now = NOW + after;
          const plain = JSON.stringify({ time: new Date(now).toISOString(), tenant: TENANT, ...entry });
          expect(JSON.parse(encode(entry as unknown as RecordEntry, now, undefined))).toEqual(JSON.parse(plain));
        }
      }),
    );
  });

  it('A2 notices a list of actors that changes', () => {
    const encode = createRecordEncoder(TENANT);
    const actors = ['helper'];
    const entry = { ...IDENTITY, actors, type: 'decision', detail: {} } as unknown as RecordEntry;
    expect(encode(entry, NOW, undefined)).toContain('"actors":["helper"]');
    actors.push('other');
    expect(encode(entry, NOW, undefined)).toContain('"actors":["helper","other"]');
  });

  it('writes the time of each record, also when the clock goes back, and refuses one that cannot be', () => {
    const encode = createRecordEncoder(TENANT);
    for (const now of [NOW, NOW + 1, NOW + 999, NOW + 1_000, NOW - 1, NOW - 5_000, 0, -1, NOW + 0.5]) {
      expect(JSON.parse(encode(decision(TASK, 's'), now, undefined)).time).toBe(new Date(now).toISOString());
    }
    expect(() => encode(decision(TASK, 's'), Number.NaN, undefined)).toThrow(RangeError);
  });

  it('keeps a bounded number of texts (I3), and is right beyond it', () => {
    const encode = createRecordEncoder(TENANT);
    for (let number = 0; number < 2_500; number += 1) {
      const entry = { ...decision(TASK, 's'), task: `tsk_${number}`, tool: `c/t${number}` } as unknown as RecordEntry;
      expect(JSON.parse(encode(entry, NOW, undefined))).toMatchObject({ task: entry.task, tool: entry.tool });
    }
  });
});
