import { cp, readFile, rm } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { Client } from 'pg';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { AuditRecord } from '../../src/domain/record.ts';
import { endAll, run, runJson, runToFail, startUp, type Up, until } from '../cli/remit.ts';
import { type FakeToolsServer, startFakeToolsServer } from '../support/fake-tools-http-server.ts';
import { at, makeNodesEstate, type NodesEstate } from '../support/gateway-nodes.ts';
import { callUnder, recordsOf } from '../support/whole-gateway.ts';

/** Two gateways, each a process of its own, on one real PostgreSQL; somebody puts an older copy of one’s log back. */
let office: FakeToolsServer;
let estate: NodesEstate;
let gateway: Up;
let other: Up;

beforeAll(async () => {
  office = await startFakeToolsServer({ read: () => 'read' });
  estate = await makeNodesEstate(2, {
    yaml: `journal: { witnessSeconds: 1 }
connectors:
  office:
    owner: dana@shop.example
    protocol: modern
    transport: { http: { url: ${JSON.stringify(office.url)} } }
    tools:
      read: { class: read, approvedBy: dana@shop.example }
templates:
  office: { owner: dana@shop.example, purpose: test, agents: [scribe], classes: [read], tools: ["office/*"], calls: 100 }
`,
  });
});
afterAll(async () => {
  await endAll();
  await office?.close();
  await estate?.close();
});

const node = (index: number) => estate.nodes[index] as NodesEstate['nodes'][number];
const journalOf = (index: number): string =>
  join(node(index).folder, index === 0 ? '.remit' : `.node-${index}`, 'journal');
const older = (): string => join(node(1).folder, 'older');

async function sql<T>(text: string): Promise<T[]> {
  const client = new Client({ connectionString: estate.postgres.url('postgres') });
  await client.connect();
  try {
    return (await client.query(text)).rows as T[];
  } finally {
    await client.end();
  }
}

type Seen = { node: string; size: number; checkpoint: string };
const seenBy = async (index: number): Promise<Seen[]> =>
  (await recordsOf(node(index), 'checkpoint_seen')).flatMap(({ detail }) => detail.seen as Seen[]);

async function putOlderBack(): Promise<void> {
  await rm(journalOf(1), { recursive: true });
  await cp(older(), journalOf(1), { recursive: true });
}

const sizeOf = async (index: number): Promise<number> =>
  (await runJson<{ size: number }>(['audit', 'verify', '--config', node(index).config])).size;

describe('a node whose log is rolled back', () => {
  it('A4 is not served on: the shared store knows its newest checkpoint', { timeout: 240_000 }, async () => {
    other = await estate.start(0);
    gateway = await estate.start(1);
    expect(await gateway.stop()).toBe(0);
    await cp(journalOf(1), older(), { recursive: true });
    gateway = await estate.start(1);
    await estate.token(1, { template: 'office' });
    expect(await gateway.stop()).toBe(0);
    const size = await sizeOf(1);
    await until(async () => (await seenBy(0)).some((seen) => seen.size === size), 'the other node has seen its end');
    await putOlderBack();
    const refused = await startUp(node(1).config, 'revoke_only');
    const health = await (await fetch(`${at(node(1)).url}/healthz`)).json();
    expect(health).toMatchObject({
      status: 'revoke_only',
      error_description: expect.stringContaining(`a checkpoint was signed over ${size}`),
    });
    expect(await refused.stop()).toBe(0);
  });

  it('A4 stops soon where the store was rolled back with it: another node puts back what it has seen', {
    timeout: 240_000,
  }, async () => {
    const name = (await seenBy(0))[0]?.node;
    // The other one is held up meanwhile, so that the node serves at first.
    other.child.kill('SIGSTOP');
    await sql(`DELETE FROM trail_heads WHERE node = '${name}'`);
    const again = await startUp(node(1).config);
    other.child.kill('SIGCONT');
    // Not 0: whoever supervises it is to start it again.
    expect(await again.exited).toBe(7);
    expect(again.stderr()).toContain('the journal is not the one that other nodes know');
    const refused = await startUp(node(1).config, 'revoke_only');
    expect(await refused.stop()).toBe(0);
  });

  it('A4 is not served on under a new key either, unless a person has accepted it on record', {
    timeout: 240_000,
  }, async () => {
    const [row] = await sql<{ node: string; size: number }>(`SELECT node, size FROM trail_heads ORDER BY size`);
    const name = (await seenBy(0))[0]?.node as string;
    expect(row).toBeDefined();
    await sql(`DELETE FROM secrets WHERE name = 'remit-journal-key-${name}'`);
    await rm(journalOf(1), { recursive: true });
    const refused = await startUp(node(1).config, 'revoke_only');
    const health = (await (await fetch(`${at(node(1)).url}/healthz`)).json()) as { error_description: string };
    expect(health.error_description).toContain('the store knows another journal of this node');
    expect(await refused.stop()).toBe(0);
    const accepted = await run(['audit', 'accept-damage', '--config', node(1).config]);
    expect(accepted.code, accepted.stderr).toBe(0);
    gateway = await estate.start(1);
    const [first] = await recordsOf(node(1), 'administration');
    expect((first as AuditRecord).detail).toMatchObject({ action: 'journal_damage_accept' });
    expect(await gateway.stop()).toBe(0);
  });

  it('and one whose name another process has ends with what was wrong, as none that was asked to', {
    timeout: 240_000,
  }, async () => {
    gateway = await estate.start(1);
    const name = (await readFile(join(dirname(journalOf(1)), 'node'), 'utf8')).trim();
    await sql(`UPDATE nodes SET life = life + 1 WHERE name = '${name}'`);
    expect(await gateway.exited).toBe(13);
    expect(gateway.stderr()).toContain('another process is node');
    gateway = await estate.start(1);
    expect(await gateway.stop()).toBe(0);
  });
});

describe('the trail of a task that moved', () => {
  it('A4 is verified and told over the journals of both nodes, and each says that there is another', {
    timeout: 240_000,
  }, async () => {
    gateway = await estate.start(1);
    const task = await estate.token(1, { template: 'office' });
    expect(await callUnder(at(node(1)), task, 'office__read', {})).toContain('read');
    gateway.child.kill('SIGKILL');
    await gateway.exited;
    expect(await callUnder(at(node(0)), task, 'office__read', {})).toContain('read');
    const name = (await recordsOf(node(0), 'task_adopted'))[0]?.detail.from as string;

    const config = ['--config', node(0).config];
    const here = await run(['audit', 'show', task.task, ...config]);
    expect(here.stdout).toContain(`the task was at node ${name} before`);
    const elsewhere = ['--journal', journalOf(1), ...config];
    const told = await runJson<{ stories: { journal: string; steps: { record: AuditRecord }[] }[] }>([
      ...['audit', 'show', task.task],
      ...elsewhere,
    ]);
    expect(told.stories.map(({ journal, steps }) => [journal, steps[0]?.record.type])).toEqual([
      [journalOf(1), 'task_started'],
      [journalOf(0), 'task_adopted'],
    ]);
    const alone = await run(['task', 'show', task.task, ...config]);
    expect(alone.stdout).toContain('office/read 1×');
    expect(alone.stdout).toContain(`at node ${name} before`);
    const whole = await run(['task', 'show', task.task, ...elsewhere]);
    expect(whole.stdout).toContain('office/read 2×');
    const first = told.stories[0]?.steps.find(({ record }) => record.type === 'decision' && record.tool !== undefined);
    const why = await run(['why', first?.record.span as string, ...elsewhere]);
    expect(why.code, why.stderr).toBe(0);

    const folders = ['--folder', journalOf(0), '--folder', journalOf(1)];
    const verified = await run(['audit', 'verify', ...folders]);
    expect(verified.code, verified.stderr).toBe(0);
    expect(verified.stdout).toMatch(/verified: node \S+, \S+: \d+ records/);
    expect(verified.stdout).toMatch(/absent: node \S+, \S+, seen with \d+ records: given up in record 0/);
    const keptJournal = await runToFail(['audit', 'verify', ...folders.slice(0, 2), '--folder', older()]);
    expect(keptJournal).toMatchObject({
      code: 'ERR_JOURNAL_DAMAGED',
      message: expect.stringContaining(`node ${name}`),
    });
  });
});
