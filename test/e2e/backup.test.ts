import { cp, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Client } from 'pg';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { endAll, makeFolder, run, runJson, runToFail, startUp, until } from '../cli/remit.ts';
import { type FakeToolsServer, startFakeToolsServer } from '../support/fake-tools-http-server.ts';
import { at, makeNodesEstate, type NodeEstate, type NodesEstate, STORE_VARIABLE } from '../support/gateway-nodes.ts';
import { callUnder, type OwnTask, recordsOf, takeTask } from '../support/whole-gateway.ts';

/**
 * docs/how-to/run-in-production.md, "Backup and restore", tried: the store by a copy that its server makes of the database's files, the node's folder and the vault key by a copy of
 * theirs, restored under another name and in another folder, with the first ones gone.
 */
let office: FakeToolsServer;
let estate: NodesEstate;
let elsewhere: string;
let task: OwnTask;
let restored: NodeEstate;
let sent = 0;

beforeAll(async () => {
  office = await startFakeToolsServer({ count: () => `call ${++sent}` });
  elsewhere = await mkdtemp(join(tmpdir(), 'remit-backup-'));
  estate = await makeNodesEstate(1, {
    yaml: `journal: { publish: { file: ${join(elsewhere, 'checkpoint')}, everySeconds: 1 } }
connectors:
  office:
    owner: dana@shop.example
    protocol: modern
    transport: { http: { url: ${JSON.stringify(office.url)} } }
    tools:
      count: { class: write, source: { trust: trusted }, approvedBy: dana@shop.example }
templates:
  short: { owner: dana@shop.example, purpose: test, agents: [scribe], classes: [write], tools: ["office/*"], calls: 3 }
`,
  });
});
afterAll(async () => {
  await endAll();
  await office?.close();
  await estate?.close();
  await rm(elsewhere, { recursive: true, force: true });
});

const original = (): NodeEstate => estate.nodes[0] as NodeEstate;
const call = (node: NodeEstate): Promise<string> => callUnder(at(node), task, 'office__count', {});
const order = (node: NodeEstate, what: 'suspend' | 'resume', why: string) =>
  run(['agent', what, 'scribe', '--reason', why, '--config', node.config]);

async function execute(statement: string): Promise<void> {
  const client = new Client({ connectionString: estate.postgres.url('template1') });
  await client.connect();
  try {
    await client.query(statement);
  } finally {
    await client.end();
  }
}

/** Puts a backup in place, in a folder of its own. */
async function restore(from: string, database: string): Promise<NodeEstate> {
  const folder = join(await makeFolder(), 'restored');
  await cp(from, folder, { recursive: true });
  const config = join(folder, 'remit.yaml');
  const text = (await readFile(config, 'utf8')).replace(
    /path: "[^"]*vault\.key"/,
    `path: ${JSON.stringify(join(folder, 'vault.key'))}`,
  );
  await writeFile(config, text);
  process.env[STORE_VARIABLE] = estate.postgres.url(database);
  return { folder, config, port: original().port };
}

it('what was backed up comes back: revocations, budgets, secrets and a trail that goes on', async () => {
  const gateway = await startUp(original().config);
  await run(['secret', 'put', 'spare', '--config', original().config], { input: 'a-secret-that-is-kept' });
  task = await estate.token(0, { template: 'short' });
  expect(await call(original())).toContain('call 1');
  expect((await order(original(), 'suspend', 'before the backup')).code).toBe(0);
  expect(await gateway.stop()).toBe(0);
  await execute('CREATE DATABASE backup TEMPLATE postgres');
  await cp(original().folder, join(elsewhere, 'backup'), { recursive: true });

  restored = await restore(join(elsewhere, 'backup'), 'backup');
  await rm(original().folder, { recursive: true });
  const again = await startUp(restored.config);
  expect(await call(restored), 'the revocation is not lost').toContain('suspended');
  const checks = JSON.parse((await run(['doctor', '--json', '--config', restored.config])).stdout) as {
    name: string;
  }[];
  expect(checks.find(({ name }) => name === 'vault key')).toMatchObject({ state: 'ok' });
  expect(checks.find(({ name }) => name === 'nodes')).toMatchObject({ state: 'ok' });
  expect((await order(restored, 'resume', 'all is well')).code).toBe(0);
  await until(async () => (await call(restored)).includes('call 2'), 'it goes on');
  expect(await call(restored)).toContain('call 3');
  expect(await call(restored), 'what was charged before stays charged').toContain('budget');
  const verified = await runJson<{ ok: boolean }>([
    ...['audit', 'verify', '--anchor', join(elsewhere, 'checkpoint'), '--config', restored.config],
  ]);
  expect(verified.ok).toBe(true);
  expect(await again.stop()).toBe(0);
});

it('V1 a store that is older than what its node had read is not served on, until a person accepts it: what it has forgotten holds again', async () => {
  await execute('CREATE DATABASE second TEMPLATE backup');
  const next = await startUp(restored.config);
  const published = await readFile(join(elsewhere, 'checkpoint'), 'utf8');
  expect((await order(restored, 'suspend', 'after the second backup')).code).toBe(0);
  await until(async () => (await readFile(join(elsewhere, 'checkpoint'), 'utf8')) !== published, 'it is published');
  expect(await next.stop()).toBe(0);

  // The journal is as new as it was, the store is behind it.
  const late = await restore(restored.folder, 'second');
  const refused = await startUp(late.config, 'revoke_only');
  const answer = await fetch(`${refused.url}/mcp`, { method: 'POST' });
  expect(answer.status).toBe(503);
  expect(await answer.json()).toMatchObject({
    error_description: expect.stringContaining('the store is older than the trail: its revocation log ends at 2'),
  });
  // Nobody is sent to give up a journal that is whole, and is all that remembers what the store has forgotten.
  const looked = await run(['doctor', '--json', '--config', late.config]);
  const gateway = (JSON.parse(looked.stdout) as { name: string; hint?: string }[]).find(
    ({ name }) => name === 'gateway',
  );
  expect(gateway).toMatchObject({ state: 'fail', hint: expect.stringContaining('remit audit accept-restored') });
  expect(`${gateway?.hint}${refused.stderr()}`).not.toContain('accept-damage');
  const accept = ['audit', 'accept-restored', '--reason', 'restored after a fire', '--config', late.config];
  expect(await runToFail(accept)).toMatchObject({ code: 'ERR_ALREADY_RUNNING' });
  expect(await refused.stop()).toBe(0);

  expect(await runToFail(['audit', 'accept-restored', '--config', late.config])).toMatchObject({ code: 'ERR_USAGE' });
  const accepted = await runJson<{ givenAgain: object[] }>(accept);
  expect(accepted.givenAgain).toEqual([
    expect.objectContaining({ action: 'suspend', subject: 'agent scribe', reason: 'after the second backup' }),
  ]);
  expect(await runToFail(accept)).toMatchObject({ code: 'ERR_USAGE' });
  const served = await startUp(late.config);
  expect(await takeTask(late, 'short').catch((error: Error) => error.message)).toContain('suspended');
  const changes = (await recordsOf(late, 'administration')).map(({ detail }) => detail);
  expect(changes.at(-1)).toMatchObject({ action: 'store_set_back_accept', reason: 'restored after a fire' });
  expect(await served.stop()).toBe(0);

  // Another one whose log is as long, and is not the one that was read.
  await execute('CREATE DATABASE forked TEMPLATE second');
  const client = new Client({ connectionString: estate.postgres.url('forked') });
  await client.connect();
  await client.query(
    `UPDATE revocations SET subject = 'another' WHERE position = (SELECT max(position) FROM revocations)`,
  );
  await client.end();
  const forked = await restore(late.folder, 'forked');
  const again = await startUp(forked.config, 'revoke_only');
  expect(await (await fetch(`${again.url}/mcp`, { method: 'POST' })).json()).toMatchObject({
    error_description: expect.stringContaining('the store is not the one that this node knows'),
  });
  expect(await again.stop()).toBe(0);
});

it('A4 a journal’s backup that is behind the published checkpoint is not served on', async () => {
  const stale = await restore(join(elsewhere, 'backup'), 'second');
  const gateway = await startUp(stale.config, 'revoke_only');
  expect((await fetch(`${gateway.url}/readyz`)).status).toBe(503);
  expect(await gateway.stop()).toBe(0);
});
