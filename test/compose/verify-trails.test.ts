import { cp, mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { ed25519Signer } from '../../src/adapters/journal/ed25519-signer.ts';
import { openFileJournal } from '../../src/adapters/journal/open-file-journal.ts';
import { newestCheckpoint } from '../../src/adapters/journal/prove.ts';
import { createVerifier } from '../../src/adapters/journal/signed-note.ts';
import { createRecorder, type RecordEntry } from '../../src/audit/recorder.ts';
import { journalFolders } from '../../src/compose/trail/journal-folders.ts';
import { originOf } from '../../src/compose/trail/store-heads.ts';
import { type VerifyTrailsOptions, verifyTrails } from '../../src/compose/trail/verify-trails.ts';
import { type TenantId, tenantId } from '../../src/domain/ids.ts';
import type { SeenHead } from '../../src/domain/trail-head.ts';

const TENANT: TenantId = tenantId('default');
let base: string;
let nextTime = Date.UTC(2026, 0, 1);

beforeAll(async () => {
  base = await mkdtemp(join(tmpdir(), 'remit-trails-'));
});
afterAll(() => rm(base, { recursive: true, force: true }));

/** A journal of a node, written to when told. */
class FakeNode {
  readonly name: string;
  readonly folder: string;
  readonly verifier;
  readonly #signer;

  constructor(at: string, name: string, key = name) {
    this.name = name;
    this.folder = join(base, at, name, 'journal');
    this.#signer = ed25519Signer(Buffer.alloc(32, key));
    this.verifier = createVerifier(originOf(TENANT, this.#signer.publicKey), this.#signer.publicKey);
  }

  async write(...entries: readonly RecordEntry[]): Promise<void> {
    const { name: origin } = this.verifier;
    const journal = await openFileJournal({ folder: this.folder, origin, signer: this.#signer });
    const recorder = createRecorder({ journal, clock: () => (nextTime += 1000), tenant: TENANT });
    for (const entry of entries) await recorder.record(entry);
    await journal.close();
  }

  work(count: number): Promise<void> {
    const entry: RecordEntry = { type: 'task_ended', detail: { reason: 'completed' } };
    return this.write(...Array.from({ length: count }, () => entry));
  }

  async head(): Promise<Omit<SeenHead, 'origin'>> {
    const { size, note } = await newestCheckpoint(this.folder, this.verifier);
    const checkpoint = Buffer.from(note, 'latin1').toString('utf8');
    return { node: this.name, key: this.verifier.text, size, checkpoint };
  }

  async see(...others: readonly FakeNode[]): Promise<void> {
    const seen = await Promise.all(others.map((other) => other.head()));
    await this.write({ type: 'checkpoint_seen', detail: { seen } });
  }
}

/** Three nodes that have worked and seen each other. */
async function threeNodes(at: string): Promise<[FakeNode, FakeNode, FakeNode]> {
  const [a, b, c] = ['a', 'b', 'c'].map((name) => new FakeNode(at, name)) as [FakeNode, FakeNode, FakeNode];
  for (const node of [a, b, c]) await node.work(5);
  await a.see(b, c);
  await b.see(a, c);
  await c.see(a, b);
  await a.work(3);
  await b.see(a);
  return [a, b, c];
}

const verify = (nodes: readonly { folder: string }[], options: Partial<VerifyTrailsOptions> = {}) =>
  verifyTrails(
    nodes.map(({ folder }) => folder),
    { keys: [], anchors: [], without: [], seenBefore: undefined, ...options },
  );

const problemsOf = async (...args: Parameters<typeof verify>) => {
  const found = await verify(...args);
  return found.ok ? [] : found.problems.map(({ node, what, where }) => ({ node, what, where }));
};

describe('journals of several nodes', () => {
  it('A4 verify together: each by itself, and every checkpoint of one in another', async () => {
    const nodes = await threeNodes('sound');
    const found = await verify(nodes, { keys: nodes.map(({ verifier }) => verifier.text) });
    expect(found).toMatchObject({ ok: true, compared: 7, absent: [] });
    if (!found.ok) return;
    expect(found.chains.map(({ node, verified }) => [node, verified.size])).toEqual([
      ['a', 9],
      ['b', 7],
      ['c', 6],
    ]);
    await cp(nodes[0].folder, join(base, 'sound', 'a', 'journal-damaged-2026'), { recursive: true });
    expect(await journalFolders([join(base, 'sound')])).toEqual(nodes.map(({ folder }) => folder));
  });

  it('A4 one that was rolled back with its checkpoints is told by who has seen more of it, and where', async () => {
    const [a, b, c] = await threeNodes('rolled');
    const kept = join(base, 'rolled-a');
    const older = new FakeNode('rolled-older', 'a');
    await older.work(5);
    await cp(a.folder, kept, { recursive: true });
    await rm(a.folder, { recursive: true });
    await cp(older.folder, a.folder, { recursive: true });
    expect(await problemsOf([a, b, c])).toEqual([
      { node: 'a', where: `${b.folder}, record 5`, what: expect.stringContaining('ends after 5 records') },
      { node: 'a', where: `${b.folder}, record 6`, what: expect.stringContaining('was seen there with 9') },
      { node: 'a', where: `${c.folder}, record 5`, what: expect.stringContaining('ends after 5 records') },
    ]);
  });

  it('A4 one that was written anew under its own key verifies by itself, and is told by the others', async () => {
    const [a, b, c] = await threeNodes('rewritten');
    await rm(a.folder, { recursive: true });
    await a.write({ type: 'task_ended', detail: { reason: 'nothing happened' } });
    await a.work(20);
    expect(await problemsOf([a], { without: ['b', 'c'] })).toEqual([]);
    const problems = await problemsOf([a, b, c]);
    expect(problems).toHaveLength(3);
    expect(new Set(problems.map(({ node }) => node))).toEqual(new Set(['a']));
    expect(problems[0]?.what).toContain('is not the one that was seen there');
  });

  it('A4 one that is left out fails, unless it is named as absent', async () => {
    const [a, b, c] = await threeNodes('absent');
    expect(await problemsOf([a, c])).toEqual([
      {
        node: 'b',
        where: expect.stringContaining(', record 5'),
        what: expect.stringContaining('not among those given'),
      },
    ]);
    expect(await verify([a, c], { without: ['b'] })).toMatchObject({
      ok: true,
      absent: [{ node: 'b', size: 6, why: 'named as absent' }],
    });
    expect(await problemsOf([a, b, c])).toEqual([]);
  });

  it('A4 a node with two journals fails, unless one was given up on record', async () => {
    const [a, b, c] = await threeNodes('anew');
    const given = await c.head();
    const anew = new FakeNode('anew-c', 'c', 'another key');
    await anew.work(1);
    await b.see(anew);
    expect(await problemsOf([a, b, c, anew])).toEqual([
      { node: 'c', where: `${b.folder}, record 7`, what: expect.stringContaining('it has another journal too') },
    ]);
    const accepted = new FakeNode('anew-d', 'c', 'a third key');
    const detail = { action: 'journal_damage_accept', superseded: [given.checkpoint, (await anew.head()).checkpoint] };
    await accepted.write({ type: 'administration', detail });
    await b.see(accepted);
    const found = await verify([a, b, accepted]);
    expect(found).toMatchObject({ ok: true });
    if (found.ok)
      expect(found.absent.map(({ why }) => why)).toEqual([
        expect.stringContaining('given up in record 0'),
        expect.stringContaining('given up in record 0'),
      ]);
  });

  it('A4 a changed record in one is told of that one', async () => {
    const [a, b, c] = await threeNodes('changed');
    const path = join(b.folder, '00000000.log');
    const bytes = await readFile(path);
    const at = bytes.indexOf('completed');
    bytes[at] = (bytes[at] as number) ^ 1;
    await writeFile(path, bytes);
    const problems = await problemsOf([a, b, c]);
    expect(problems[0]).toMatchObject({ node: 'b', where: expect.stringContaining(path) });
  });

  it('A4 a checkpoint that the key of that log has not signed is told of who holds it', async () => {
    const [a, b, c] = await threeNodes('forged');
    const head = await a.head();
    const [origin, size, , ...rest] = head.checkpoint.split('\n');
    const forged = [origin, size, Buffer.alloc(32, 1).toString('base64'), ...rest].join('\n');
    await c.write({ type: 'checkpoint_seen', detail: { seen: [{ ...head, checkpoint: forged }] } });
    expect(await problemsOf([a, b, c])).toEqual([
      { node: 'a', where: `${c.folder}, record 6`, what: expect.stringContaining('is not signed by its key') },
    ]);
  });

  it('copies that were not made at once verify as of the time of the first', async () => {
    const [a, b, c] = await threeNodes('copies');
    const copied = new FakeNode('copies-early', 'a');
    await mkdir(join(copied.folder, '..'), { recursive: true });
    await cp(a.folder, copied.folder, { recursive: true });
    const then = nextTime + 1;
    await a.work(4);
    await c.see(a);
    expect(await problemsOf([copied, b, c])).toHaveLength(1);
    expect(await problemsOf([copied, b, c], { seenBefore: then })).toEqual([]);
    // The same log twice, one copy older: the longer one counts, and the other is its beginning.
    expect(await problemsOf([copied, a, b, c])).toEqual([]);
  });

  it('a key or a checkpoint of none of them is refused, and so is a folder without a journal', async () => {
    const [a, b, c] = await threeNodes('usage');
    const stranger = new FakeNode('usage-other', 'z');
    await stranger.work(1);
    await expect(verify([a, b, c], { keys: [stranger.verifier.text] })).rejects.toMatchObject({ code: 'ERR_USAGE' });
    const file = join(base, 'anchor');
    await writeFile(file, (await stranger.head()).checkpoint);
    await expect(verify([a, b, c], { anchors: [file] })).rejects.toMatchObject({ code: 'ERR_USAGE' });
    await writeFile(file, (await a.head()).checkpoint);
    expect(await problemsOf([a, b, c], { anchors: [file] })).toEqual([]);
    await expect(verify([a, { folder: base }])).rejects.toMatchObject({ code: 'ERR_NOT_FOUND' });
  });
});
