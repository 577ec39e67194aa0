import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { FakeNode } from '../support/fake-trail-node.ts';
import { endAll, run, runJson, runToFail } from './remit.ts';

/** A host with two workers, which have seen a node of another host: what `remit audit verify` says there. */
const NAMES = ['n0000000000000001', 'n0000000000000002', 'n0000000000000003'] as const;
let base: string;
let config: string;
let nodes: FakeNode[];

beforeAll(async () => {
  base = await mkdtemp(join(tmpdir(), 'remit-verify-'));
  config = join(base, 'remit.yaml');
  await writeFile(config, 'version: 1\nconnectors: {}\ntemplates: {}\ndata: data\n');
  const folders = ['data/worker-1', 'data/worker-2', 'elsewhere'].map((name) => join(base, name));
  nodes = folders.map((folder, index) => new FakeNode(folder, NAMES[index] as string));
  for (const [index, folder] of folders.entries()) {
    await mkdir(folder, { recursive: true });
    await writeFile(join(folder, 'node'), `${NAMES[index]}\n`);
  }
  for (const node of nodes) await node.work(3);
  const [one, two, other] = nodes as [FakeNode, FakeNode, FakeNode];
  await one.see(two, other);
  await two.see(one, other);
});
afterAll(async () => {
  await endAll();
  await rm(base, { recursive: true, force: true });
});

it('A4 verifies those of the host, and tells which are elsewhere', async () => {
  const verified = await run(['audit', 'verify', '--config', config]);
  expect(verified.code, verified.stderr).toBe(0);
  expect(verified.stdout).toMatch(/absent: node n0000000000000003, .* seen with 3 records: .*not verified here/);
  expect(verified.stdout).toContain('note: what nodes of other hosts have written');
  const folders = ['data', 'elsewhere'].flatMap((name) => ['--folder', join(base, name)]);
  const together = await run(['audit', 'verify', ...folders]);
  expect(together.code, together.stderr).toBe(0);
  expect(together.stdout).not.toContain('absent');
});

it('A4 says of a journal that is verified alone which others it has seen', async () => {
  const folder = (nodes[0] as FakeNode).folder;
  const alone = await run(['audit', 'verify', '--folder', folder]);
  expect(alone.code, alone.stderr).toBe(0);
  expect(alone.stdout).toContain('note: it has seen journals of 2 other nodes, not verified here');
  expect(alone.stdout).toContain('n0000000000000003 with 3 records');
  const told = await runJson<{ others: unknown[] }>(['audit', 'verify', '--folder', folder]);
  expect(told.others).toMatchObject(NAMES.slice(1).map((node) => ({ node, size: 3 })));
  const seesNobody = await run(['audit', 'verify', '--folder', (nodes[2] as FakeNode).folder]);
  expect(seesNobody.stdout).not.toContain('other nodes');
});

it('A4 fails where the journal of one of its own workers is gone, and where folders are named and one that was seen is not', async () => {
  const named = await runToFail(['audit', 'verify', '--folder', join(base, 'data')]);
  expect(named).toMatchObject({ code: 'ERR_JOURNAL_DAMAGED' });
  expect(named.message).toContain('n0000000000000003');
  await rm((nodes[1] as FakeNode).folder, { recursive: true });
  const gone = await runToFail(['audit', 'verify', '--config', config]);
  expect(gone).toMatchObject({ code: 'ERR_JOURNAL_DAMAGED' });
  expect(gone.message).toContain('n0000000000000002');
});
