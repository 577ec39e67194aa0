import { cp, mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createVerifier } from '../../src/adapters/journal/signed-note.ts';
import { journalFolders } from '../../src/compose/trail/journal-folders.ts';
import { type VerifyTrailsOptions, verifyTrails } from '../../src/compose/trail/verify-trails.ts';
import { FakeNode, newestRecord } from '../support/fake-trail-node.ts';

let base: string;

beforeAll(async () => {
  base = await mkdtemp(join(tmpdir(), 'remit-trails-'));
});
afterAll(() => rm(base, { recursive: true, force: true }));

const newNode = (at: string, name: string, key = name): FakeNode => new FakeNode(join(base, at, name), name, key);

/** Three nodes that have worked and seen each other. */
async function threeNodes(at: string): Promise<[FakeNode, FakeNode, FakeNode]> {
  const [a, b, c] = ['a', 'b', 'c'].map((name) => newNode(at, name)) as [FakeNode, FakeNode, FakeNode];
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
    const older = newNode('rolled-older', 'a');
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

  it('A4 one that was written anew to the very length that was seen is told by the others', async () => {
    const [a, b, c] = await threeNodes('as-long');
    await rm(a.folder, { recursive: true });
    await a.work(9);
    const problems = await problemsOf([a, b, c]);
    expect(problems.map(({ node, where }) => [node, where])).toContainEqual(['a', `${b.folder}, record 6`]);
    expect(problems.map(({ what }) => what)).toContainEqual(expect.stringContaining('its first 9 records are others'));
  });

  it('A4 two copies of one log that are as long and not the same fail', async () => {
    const [a, b, c] = await threeNodes('forked');
    const fork = newNode('forked-copy', 'a');
    await cp(a.folder, fork.folder, { recursive: true });
    await a.work(2);
    expect(await problemsOf([a, fork, b, c]), 'the one is the beginning of the other').toEqual([]);
    await fork.work(2);
    expect(await problemsOf([a, fork, b, c])).toEqual([
      { node: 'a', where: a.folder, what: expect.stringContaining(`not the same log as the one in ${fork.folder}`) },
      { node: 'a', where: fork.folder, what: expect.stringContaining(`not the same log as the one in ${a.folder}`) },
    ]);
    await a.work(1);
    const problems = await problemsOf([a, fork, b, c]);
    expect(
      problems.map(({ where }) => where),
      'nor is a longer one',
    ).toContain(a.folder);
  });

  it('A4 a key that was noted elsewhere, and a checkpoint that was kept elsewhere, hold each of the journal that it is of', async () => {
    const [a] = await threeNodes('noted');
    const alone = { without: ['b', 'c'] };
    const { text: strange } = createVerifier(a.verifier.name, Buffer.alloc(32, 1));
    expect(await problemsOf([a], { ...alone, keys: [a.verifier.text] })).toEqual([]);
    expect(await problemsOf([a], { ...alone, keys: [strange] })).toHaveLength(1);
    const [kept, copied] = [join(base, 'noted-anchor'), newNode('noted-early', 'a')];
    await cp(a.folder, copied.folder, { recursive: true });
    await a.work(4);
    await writeFile(kept, (await a.head()).checkpoint);
    expect(await problemsOf([a], { ...alone, anchors: [kept] })).toEqual([]);
    expect(await problemsOf([copied], { ...alone, anchors: [kept] })).toHaveLength(1);
    expect(await problemsOf([copied], alone)).toEqual([]);
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
    const unnamed = await problemsOf([a], { without: ['b'] });
    expect(unnamed.map(({ node }) => node)).toEqual(['c']);
    expect(await problemsOf([a], { without: ['b', c.verifier.name] })).toEqual([]);
  });

  it('A4 where those of one host are verified, those of others are told, and its own have to be there', async () => {
    const [a, b] = await threeNodes('host');
    expect(await verify([a, b], { expected: ['a', 'b'] })).toMatchObject({
      ok: true,
      absent: [{ node: 'c', size: 5, why: expect.stringContaining('not verified here') }],
    });
    expect(await problemsOf([a, b], { expected: ['a', 'b', 'c'] })).toEqual([
      { node: 'c', where: expect.any(String), what: expect.stringContaining('not among those given') },
    ]);
  });

  it('A4 a node with two journals fails, unless one was given up on record', async () => {
    const [a, b, c] = await threeNodes('anew');
    const given = await c.head();
    const anew = newNode('anew-c', 'c', 'another key');
    await anew.work(1);
    await b.see(anew);
    expect(await problemsOf([a, b, c, anew])).toEqual([
      { node: 'c', where: `${b.folder}, record 7`, what: expect.stringContaining('it has another journal too') },
    ]);
    const accepted = newNode('anew-d', 'c', 'a third key');
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
    const copied = newNode('copies-early', 'a');
    await mkdir(join(copied.folder, '..'), { recursive: true });
    await cp(a.folder, copied.folder, { recursive: true });
    const then = newestRecord() + 1;
    await a.work(4);
    await c.see(a);
    expect(await problemsOf([copied, b, c])).toHaveLength(1);
    expect(await problemsOf([copied, b, c], { seenBefore: then })).toEqual([]);
    // The same log twice, one copy older: the longer one counts, and the other is its beginning.
    expect(await problemsOf([copied, a, b, c])).toEqual([]);
  });

  it('a key or a checkpoint of none of them is refused, and so is a folder without a journal', async () => {
    const [a, b, c] = await threeNodes('usage');
    const stranger = newNode('usage-other', 'z');
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
