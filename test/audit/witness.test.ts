import { describe, expect, it } from 'vitest';
import { createRecorder } from '../../src/audit/recorder.ts';
import { markDetail, readMark } from '../../src/audit/recovery-mark.ts';
import { emptyTrailState, foldEntry, foldPayload } from '../../src/audit/trail-state.ts';
import { createWitness } from '../../src/audit/witness.ts';
import { isSignedHead } from '../../src/compose/trail/store-heads.ts';
import type { TrailHead } from '../../src/domain/trail-head.ts';
import { createFakeTime } from '../support/fake-lease-time.ts';
import { signedHead } from '../support/signed-heads.ts';
import { memoryJournal, NOW, TENANT } from './fixtures.ts';

/** A node `one`, and what the store says of the others. */
function witnessOf(stored: TrailHead[], state = emptyTrailState()) {
  const journal = memoryJournal();
  const time = createFakeTime();
  const put: TrailHead[] = [];
  const said: unknown[] = [];
  const faults = { list: undefined as Error | undefined, record: undefined as Error | undefined };
  const note = (_: unknown, text: unknown) => void said.push(text);
  const recorder = createRecorder({
    journal,
    clock: () => NOW,
    tenant: TENANT,
    follow: (position, entry) => foldEntry(state, position, entry),
  });
  const witness = createWitness({
    tenant: TENANT,
    node: 'one',
    repository: {
      async list() {
        if (faults.list !== undefined) throw faults.list;
        return stored;
      },
      async publish(head) {
        put.push(head);
        return head;
      },
    },
    recorder: {
      async record(entry) {
        if (faults.record !== undefined) throw faults.record;
        return await recorder.record(entry);
      },
    },
    state,
    isSigned: isSignedHead,
    everyMs: 30_000,
    monotonic: time.clock,
    schedule: time.schedule,
    log: { debug: note, info: note, warn: note, error: note },
  });
  const seen = () =>
    journal.payloads.map((payload) => {
      const { type, detail } = JSON.parse(payload.toString()) as {
        type: string;
        detail: { seen: { node: string; size: number }[] };
      };
      expect(type).toBe('checkpoint_seen');
      return detail.seen.map(({ node, size }) => `${node} ${size}`);
    });
  return { witness, journal, time, put, said, seen, faults, state };
}

describe('checkpoints of other nodes', () => {
  it('A4 are recorded where they moved, all of a look in one record, and one’s own is not', async () => {
    const stored = [signedHead(TENANT, 'one', 9), signedHead(TENANT, 'two', 5), signedHead(TENANT, 'three', 7)];
    const { witness, seen } = witnessOf(stored);
    await witness.look();
    await witness.look();
    expect(seen()).toEqual([['two 5', 'three 7']]);
    stored[1] = signedHead(TENANT, 'two', 50);
    await witness.look();
    expect(seen()).toEqual([['two 5', 'three 7'], ['two 50']]);
  });

  it('are looked at once a period while it runs, and never after', async () => {
    const stored = [signedHead(TENANT, 'two', 5)];
    const { witness, seen, time } = witnessOf(stored);
    witness.start();
    await time.settle();
    stored[0] = signedHead(TENANT, 'two', 20);
    await time.advance(29_000);
    expect(seen()).toHaveLength(1);
    await time.advance(2_000);
    expect(seen()).toHaveLength(2);
    await witness.stop();
    expect(time.pending).toBe(0);
  });

  it('two idle nodes do not keep each other awake: what moved by one record is told after an hour', async () => {
    const stored = [signedHead(TENANT, 'two', 5)];
    const { witness, seen, time } = witnessOf(stored);
    witness.start();
    await time.settle();
    stored[0] = signedHead(TENANT, 'two', 6);
    await time.advance(3_500_000);
    expect(seen()).toEqual([['two 5']]);
    await time.advance(200_000);
    expect(seen()).toEqual([['two 5'], ['two 6']]);
    await witness.stop();
  });

  it('A4 a second head of the same size, which only a forked log has, goes on the record', async () => {
    const stored = [signedHead(TENANT, 'two', 5)];
    const { witness, seen } = witnessOf(stored);
    await witness.look();
    stored[0] = signedHead(TENANT, 'two', 5, 2);
    await witness.look();
    expect(seen()).toEqual([['two 5'], ['two 5']]);
  });

  it('A4 what the store has lost of them is put back, also after a restart', async () => {
    const stored = [signedHead(TENANT, 'two', 50)];
    const first = witnessOf(stored);
    await first.witness.look();
    const restarted = emptyTrailState();
    for (const [position, payload] of first.journal.payloads.entries()) foldPayload(restarted, position, payload);
    const marked = readMark({ seq: 1, detail: markDetail(restarted) } as never);
    for (const lost of [[], [signedHead(TENANT, 'two', 7)]]) {
      const { witness, put, seen } = witnessOf(lost, marked);
      await witness.look();
      expect(put).toEqual(stored);
      expect(seen()).toEqual([]);
    }
  });

  it('A4 one that is not signed by the key it names, or by a key that its log is not called after, is seen as nothing', async () => {
    const [two, other] = [signedHead(TENANT, 'two', 5), signedHead(TENANT, 'four', 5)];
    const forged = [
      { ...two, size: 6 },
      { ...two, checkpoint: two.checkpoint.replace('\n5\n', '\n6\n'), size: 6 },
      { ...two, key: other.key },
      { ...two, key: 'no key' },
      { ...two, origin: 'remit/other/0123456789abcdef' },
    ];
    const { witness, journal, said } = witnessOf(forged);
    await witness.look();
    await witness.look();
    expect(journal.payloads).toEqual([]);
    expect(said).toHaveLength(2);
    expect(said[0]).toContain('is not signed by the key');
  });

  it('a store that is down, or a record that cannot be written, is logged and tried again: it stops nothing', async () => {
    const { witness, seen, said, faults } = witnessOf([signedHead(TENANT, 'two', 5)]);
    for (const at of ['list', 'record'] as const) {
      faults[at] = new Error('down');
      await witness.look();
      expect(said.at(-1)).toContain('could not be seen');
      faults[at] = undefined;
    }
    await witness.look();
    expect(seen()).toEqual([['two 5']]);
  });

  it('A4 a mark that says of them what cannot be is damage', () => {
    const detail = { ...markDetail(emptyTrailState()), seen: [{ node: 'two', size: -1, key: 'k', checkpoint: 'o\n' }] };
    expect(() => readMark({ seq: 0, detail } as never)).toThrow('what cannot be');
  });
});
