import { describe, expect, it } from 'vitest';
import { seededRandom } from '../../harness/random.ts';
import type { FlowLabels } from '../../src/domain/flow.ts';
import { connectorId } from '../../src/domain/ids.ts';
import type { StoredMark } from '../../src/domain/stored-mark.ts';
import { createStoredLabels, MAX_THINGS, type StoredLabels } from '../../src/flow/stored-labels.ts';
import type { StoredMarkRepository } from '../../src/seams/store.ts';
import { NOW, TENANT } from '../support/fake-gateway-parts.ts';
import { createMemoryStoredMarks } from '../support/fake-memory-repositories.ts';
import { CONTACTS, call, newFlow, SEARCH, SEND, taskOf, tool, untrusted } from './office.ts';

const DAY = 86_400_000;
const trusted = { ...untrusted, trust: 'trusted' } as const;
const WRITE = tool(
  'write-page',
  {
    source: trusted,
    sink: 'internal',
    critical: { page: { kind: 'page', from: 'nowhere' } },
    resource: { page: 'page' },
  },
  { actionClass: 'write' },
);
const APPEND = tool('append', { source: trusted, sink: 'internal' }, { actionClass: 'write' });
const READ = tool('read-page', { source: trusted, resource: { id: 'page' } });
const LIST = tool('list-pages', { source: trusted });
const PATHS = tool('read-path', { source: trusted, resource: { path: 'path' } });
const ELSEWHERE = tool('vault-read', { source: trusted }, { connector: 'vault' });

interface Fixture {
  readonly stored: StoredLabels;
  readonly repository: StoredMarkRepository & { readonly rows: StoredMark[] };
}

function fixture(
  more: { marks?: StoredMark[]; keep?: StoredMarkRepository['keep']; clock?: () => number } = {},
): Fixture {
  const repository = createMemoryStoredMarks();
  const stored = createStoredLabels({
    tenant: TENANT,
    repository: { ...repository, ...(more.keep && { keep: more.keep }) },
    fingerprint: (text) => `print of ${Buffer.from(text).toString('hex')}`,
    clock: more.clock ?? (() => NOW),
    thingMs: 365 * DAY,
    connectorMs: 30 * DAY,
    marks: more.marks ?? [],
  });
  return { stored, repository };
}

/** What another task has read after a call of its own, where one that has read a stranger’s mail stored something before. */
function readAfter(
  write: { item: typeof WRITE; args: Record<string, string> },
  read: { item: typeof READ; args: Record<string, string | string[]> },
): FlowLabels {
  const { stored } = fixture();
  const [writer, reader] = [taskOf('tsk_writer'), taskOf('tsk_reader')];
  const flow = newFlow([writer, reader], { stored });
  call(flow, writer, SEARCH, {}, {});
  expect(call(flow, writer, write.item, write.args, 'done')).toBeUndefined();
  flow.forget(writer.id);
  call(flow, reader, read.item, read.args, 'whatever');
  return flow.labelsOf(reader);
}

const CLEAN = { trust: 'trusted', dataClasses: [], zones: ['internal'] };
const TAINTED = { trust: 'untrusted', dataClasses: ['personal'], zones: ['internal'] };

describe('labels that stick to what a task stored', () => {
  it('what one task stores, another reads with at least the labels that it was written with', () => {
    expect(readAfter({ item: WRITE, args: { page: 'Roadmap' } }, { item: READ, args: { id: 'roadmap' } })).toEqual(
      TAINTED,
    );
    expect(readAfter({ item: WRITE, args: { page: 'Roadmap' } }, { item: READ, args: { id: 'budget' } })).toEqual(
      CLEAN,
    );
  });

  it.each<[string, Record<string, string | string[]>, typeof READ]>([
    ['a read that names nothing', {}, LIST],
    ['a read whose name is not given', {}, READ],
    ['a read that names things otherwise', { path: 'x/roadmap' }, PATHS],
    ['a read of several, one of them that one', { id: ['budget', 'roadmap'] }, READ],
    ['a read in a spelling that may be any', { id: '%72oadmap' }, READ],
  ])('F8 %s gets them too', (_title, args, item) => {
    expect(readAfter({ item: WRITE, args: { page: 'roadmap' } }, { item, args })).toEqual(TAINTED);
  });

  it('what is stored without a name is anything of its connector, and nothing of another', () => {
    expect(readAfter({ item: APPEND, args: { text: 'x' } }, { item: READ, args: { id: 'budget' } })).toEqual(TAINTED);
    expect(readAfter({ item: APPEND, args: { text: 'x' } }, { item: ELSEWHERE, args: {} }).trust).toBe('trusted');
  });

  it('paths meet however the way there is written', () => {
    const write = tool(
      'write-path',
      { source: trusted, sink: 'internal', resource: { path: 'path' } },
      { actionClass: 'write' },
    );
    for (const path of ['/srv/notes/a.txt', './notes/a.txt', 'notes//a.txt', '/srv/x/../notes/a.txt', 'A.txt']) {
      expect(readAfter({ item: write, args: { path: 'notes/a.txt' } }, { item: PATHS, args: { path } }), path).toEqual(
        TAINTED,
      );
    }
    expect(
      readAfter({ item: write, args: { path: 'notes/a.txt' } }, { item: PATHS, args: { path: '/srv/b.txt' } }),
    ).toEqual(CLEAN);
  });

  it('a stored text vouches for nothing in the other task, and is a leg there', () => {
    const { stored } = fixture();
    const [writer, reader, other] = [taskOf('tsk_writer'), taskOf('tsk_reader'), taskOf('tsk_other')];
    const flow = newFlow([writer, reader, other], { stored });
    call(flow, other, READ, { id: 'team' }, 'bob@client.example');
    expect(call(flow, other, SEND, { to: 'bob@client.example' })).toBeUndefined();
    call(flow, writer, SEARCH, {}, {});
    call(flow, writer, WRITE, { page: 'team' });
    call(flow, reader, READ, { id: 'team' }, 'eve@evil.example');
    expect(call(flow, reader, SEND, { to: 'eve@evil.example' })).toBe('remit:provenance');
  });

  it('what is stored while a read is under way is joined when that comes back', () => {
    const { stored } = fixture();
    const [writer, reader] = [taskOf('tsk_writer'), taskOf('tsk_reader')];
    const flow = newFlow([writer, reader], { stored });
    const question = { task: reader, template: undefined, item: READ, args: { id: 'team' } };
    flow.admit(question, []);
    call(flow, writer, SEARCH, {}, {});
    call(flow, writer, WRITE, { page: 'team' });
    expect(flow.labelsOf(reader).trust).toBe('trusted');
    flow.learn(reader, READ, { id: 'team' }, '1'.padStart(16, '0'), { content: [] });
    expect(flow.labelsOf(reader)).toEqual(TAINTED);
  });

  it('what a task that has read nothing of note stores gets no mark', () => {
    const { stored, repository } = fixture();
    const task = taskOf('tsk_a');
    const flow = newFlow([task], { stored });
    call(flow, task, CONTACTS, {}, 'x');
    call(flow, task, WRITE, { page: 'team' }, 'done');
    expect(repository.rows).toEqual([]);
  });

  it('no value is kept, only keyed fingerprints of names', async () => {
    const { stored, repository } = fixture();
    const task = taskOf('tsk_a');
    const flow = newFlow([task], { stored });
    call(flow, task, SEARCH, {}, {});
    call(flow, task, WRITE, { page: 'Salaries of 2026' });
    expect(repository.rows).toHaveLength(1);
    expect(JSON.stringify(repository.rows).toLowerCase()).not.toContain('salaries');
  });

  it('a restarted gateway knows them: nothing is laundered by a restart', () => {
    const first = fixture();
    const writer = taskOf('tsk_writer');
    const flow = newFlow([writer], { stored: first.stored });
    call(flow, writer, SEARCH, {}, {});
    call(flow, writer, WRITE, { page: 'team' });
    const second = fixture({ marks: first.repository.rows });
    const reader = taskOf('tsk_reader');
    const again = newFlow([reader], { stored: second.stored });
    call(again, reader, READ, { id: 'team' }, 'x');
    expect(again.labelsOf(reader)).toEqual(TAINTED);
    expect(again.labelsOf(reader)).not.toEqual(CLEAN);
  });

  it('I3 they are bounded: with more things than are told apart, what is written counts for the whole connector', () => {
    const { stored } = fixture();
    const office = connectorId('office');
    const labels = { trust: 'untrusted', dataClasses: [], zones: [] } as const;
    for (let index = 0; index < MAX_THINGS + 50; index += 1) void stored.mark(office, { page: [`p${index}`] }, labels);
    expect(stored.size).toBe(MAX_THINGS + 1);
    expect(stored.labelsOf(office, { page: ['never written'] }).trust).toBe('untrusted');
  });

  it('they decay: a whole connector by its time, a thing by its own; a clock that is no number forgets nothing', () => {
    let now = NOW;
    const { stored } = fixture({ clock: () => now });
    const office = connectorId('office');
    const labels = { trust: 'untrusted', dataClasses: [], zones: [] } as const;
    void stored.mark(office, undefined, labels);
    void stored.mark(office, { page: ['one'] }, labels);
    const read = (page: string) => stored.labelsOf(office, { page: [page] }).trust;
    now += 29 * DAY;
    expect(read('two')).toBe('untrusted');
    now += DAY;
    expect(read('two')).toBe('trusted');
    expect(read('one')).toBe('untrusted');
    now = Number.NaN;
    expect(read('two')).toBe('untrusted');
    now = NOW + 365 * DAY;
    expect(read('one')).toBe('trusted');
  });

  it('a mark that could not be kept counts all the same, and is tried again with the next write', async () => {
    const kept: StoredMark[] = [];
    let isFull = true;
    const { stored } = fixture({
      keep: async (mark) => {
        if (isFull) throw new Error('full');
        kept.push(mark);
      },
    });
    const office = connectorId('office');
    const labels = { trust: 'untrusted', dataClasses: [], zones: [] } as const;
    await expect(stored.mark(office, undefined, labels)).rejects.toThrow('full');
    expect(stored.labelsOf(office, undefined).trust).toBe('untrusted');
    isFull = false;
    await stored.mark(office, undefined, labels);
    expect(kept).toHaveLength(1);
    expect(stored.mark(office, undefined, labels)).toBeUndefined();
  });

  it('whoever stores in the same place at once waits for the same mark', async () => {
    let makeDurable = (): void => {};
    const { stored } = fixture({ keep: () => new Promise<void>((resolve) => (makeDurable = resolve)) });
    const office = connectorId('office');
    const labels = { trust: 'untrusted', dataClasses: [], zones: [] } as const;
    const first = stored.mark(office, undefined, labels);
    expect(stored.mark(office, undefined, labels)).toBe(first);
    makeDurable();
    await first;
    expect(stored.mark(office, undefined, labels)).toBeUndefined();
  });

  it('of random writes and reads equal a reference that asks of every write whether it may be what is read', () => {
    const random = seededRandom(11);
    const office = connectorId('office');
    const some = (): Record<string, string[]> | undefined => {
      if (random.chance(0.1)) return undefined;
      const names: Record<string, string[]> = {};
      for (const kind of ['page', 'space', 'path']) {
        if (random.chance(0.6))
          names[kind] = [...new Set([random.pick(['a', 'b', 'c']), random.pick(['a', 'b', 'c'])])];
      }
      return Object.keys(names).length === 0 ? undefined : names;
    };
    for (let round = 0; round < 300; round += 1) {
      const { stored } = fixture();
      const writes: { names: ReturnType<typeof some>; dataClass: string }[] = [];
      for (let index = 0; index < 6; index += 1) {
        const one = { names: some(), dataClass: `class${index}` };
        writes.push(one);
        void stored.mark(office, one.names, { trust: 'trusted', dataClasses: [one.dataClass], zones: [] });
      }
      for (let index = 0; index < 10; index += 1) {
        const read = some();
        const expected = writes
          .filter(({ names }) => {
            if (names === undefined || read === undefined) return true;
            const both = Object.keys(names).filter((kind) => kind in read);
            return both.every((kind) => (names[kind] ?? []).some((value) => read[kind]?.includes(value)));
          })
          .map(({ dataClass }) => dataClass);
        expect(stored.labelsOf(office, read).dataClasses).toEqual(expected);
      }
    }
  });
});
