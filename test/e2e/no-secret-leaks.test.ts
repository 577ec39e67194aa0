import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { commandLines, environmentOf } from '../../demo/processes.ts';
import { type RunningProcess, runRemit, startRemitUp } from '../../demo/run-remit.ts';
import { type EmbeddedPostgres, startPostgres } from '../support/embedded-postgres.ts';
import { type FakeCrm, startFakeCrm } from '../support/fake-crm-server.ts';
import { callTool, eventually, type GovernedShop, makeGovernedShop } from '../support/governed-shop.ts';
import { createShop } from '../support/shop-database.ts';

/** The canary scan: known secrets are used in every way there is, right and wrong, and then looked for everywhere. */

const CANARY = `canary-${'x'.repeat(8)}-${Math.random().toString(36).slice(2)}${Math.random().toString(36).slice(2)}`;
const CRASHING = resolve('test/support/fake-mcp-stdio-server.mjs');

let postgres: EmbeddedPostgres;
let crm: FakeCrm;
let shop: GovernedShop;
let gateway: RunningProcess;
/** Where heap snapshots are written. */
let scratch: string;

beforeAll(async () => {
  postgres = await startPostgres({ fsync: false });
  await createShop(postgres);
  crm = await startFakeCrm({ token: CANARY });
  shop = await makeGovernedShop({ postgres });
  const exception = (tool: string) =>
    `{ owner: erin@example.com, reason: test, expires: "2099-01-01T00:00:00Z", controls: { tools: [${tool}], callsPerMinute: 60, callsPerMinutePerTask: 60 } }`;
  const profile = '{ class: read, arguments: { id: string }, approvedBy: erin@example.com }';
  const text = await readFile(shop.config, 'utf8');
  await writeFile(
    shop.config,
    text
      .replace(
        'templates:',
        `  crm:
    owner: erin@example.com
    transport: { http: { url: "${crm.url}" } }
    credential: { static: { secret: crm_token, exception: ${exception('get_customer')} } }
    tools: { get_customer: ${profile} }
  wrong_crm:
    owner: erin@example.com
    transport: { http: { url: "${crm.url}" } }
    credential: { static: { secret: wrong_token, exception: ${exception('get_customer')} } }
    tools: { get_customer: ${profile} }
  crashing:
    owner: erin@example.com
    transport: { stdio: { command: ["${process.execPath}", "${CRASHING}"], environment: { FAKE_START: crash } } }
    credential: { static: { secret: other_token, exception: ${exception('echo')} }, inject: { environment: { FAKE_SECRET: "{token}" } } }
    tools: { echo: ${profile} }
templates:`,
      )
      .replace(
        'tools: [shop_db/query]',
        'tools: [shop_db/query, crm/get_customer, wrong_crm/get_customer, crashing/echo]',
      ),
  );
  await runRemit(['secret', 'put', 'crm_token', '--config', shop.config], CANARY);
  await runRemit(['secret', 'put', 'wrong_token', '--config', shop.config], `${CANARY}-wrong`);
  await runRemit(['secret', 'put', 'other_token', '--config', shop.config], `${CANARY}-other`);
  process.env.REMIT_DEBUG = '1';
  scratch = await mkdtemp(join(tmpdir(), 'remit-heap-'));
  gateway = await startRemitUp(
    shop.config,
    ['--log-level', 'debug'],
    // Node's own: nothing in the gateway knows of it. Strings whole, not their first kilobyte.
    ['--heapsnapshot-signal=SIGUSR2', `--diagnostic-dir=${scratch}`, '--heap-snapshot-string-limit=1000000'],
  );
}, 90_000);
afterAll(async () => {
  delete process.env.REMIT_DEBUG;
  await gateway?.stop();
  await shop?.remove();
  await crm?.close();
  await postgres?.stop();
  if (scratch !== undefined) await rm(scratch, { recursive: true, force: true });
});

/** A snapshot of the gateway's heap as it is now, after a full collection. */
async function snapshotHeap(): Promise<string> {
  gateway.child.kill('SIGUSR2');
  const text = await eventually(
    'a heap snapshot',
    async () => {
      const [file] = await readdir(scratch);
      return file === undefined ? '' : await readFile(join(scratch, file), 'latin1');
    },
    // Within a text of the heap a quotation mark is escaped: this is the end of the file, and not of what has been written so far.
    (seen) => /(?<!\\)"\]\}\s*$/.test(seen.slice(-100)),
    60_000,
  );
  for (const file of await readdir(scratch)) await rm(join(scratch, file));
  return text;
}

const formsOf = (secret: string): string[] => [
  secret,
  Buffer.from(secret).toString('base64').replace(/=+$/, ''),
  Buffer.from(secret).toString('base64url'),
  encodeURIComponent(secret),
];

async function filesBelow(folder: string): Promise<string[]> {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true });
  return entries.filter((entry) => entry.isFile()).map((entry) => join(entry.parentPath, entry.name));
}

it('L6 no secret reaches the agent, the logs, the errors, the store, the journal or any argument list', async () => {
  const session = await shop.open(gateway.ready.url);
  const seen: string[] = [];
  const call = async (name: string, args: object): Promise<string> => {
    const text = JSON.stringify(await callTool(session, name, args));
    seen.push(text);
    return text;
  };
  expect(await call('crm__get_customer', { id: '1' })).toContain('Amara');
  expect(await call('shop_db__query', { sql: 'SELECT current_user' })).toContain('remit_');
  const [own] = await shop.roles();
  const server = [...commandLines().keys()].find((pid) => environmentOf(pid, 'PGUSER') === own);
  const leased = environmentOf(server as number, 'PGPASSWORD') as string;
  expect(leased.length).toBeGreaterThan(20);
  // Errors are where secrets leak: a refused login that quotes them, SQL that asks for them, tools that do not exist.
  await call('shop_db__query', { sql: "SELECT current_setting('password')" });
  await call('shop_db__query', { sql: 'SELECT * FROM pg_authid' });
  await call('wrong_crm__get_customer', { id: '1' });
  await call('crashing__echo', { id: '1' });
  await call('crm__get_customer', { id: 5 });
  await call('nothing', {});
  for (const command of [
    ['lease', 'ls', '--all'],
    ['task', 'ls', '--all'],
    ['audit', 'tail', '-n', '1000'],
    ['who-can'],
    ['doctor'],
    ['secret', 'ls'],
    ['tool', 'ls'],
  ]) {
    for (const json of [[], ['--json']]) {
      const { stdout, stderr } = await runRemit([...command, ...json, '--config', shop.config]);
      seen.push(stdout, stderr);
    }
  }
  const argumentLists = [...commandLines().values()].join('\n');
  await session.end();
  const output = gateway.output();
  expect(output.length).toBeGreaterThan(100);

  const agentKey = (JSON.parse(await readFile(join(shop.folder, 'helper.key.json'), 'utf8')) as { d: string }).d;
  const vaultKey = (await readFile(join(shop.folder, '.remit', 'vault.key'), 'utf8')).trim();
  const secrets = { CANARY, leased, adminPassword: postgres.password, agentKey, vaultKey };
  const files = (await filesBelow(join(shop.folder, '.remit'))).filter((file) => !file.endsWith('vault.key'));
  expect(files.length).toBeGreaterThan(3);
  const places: Record<string, string> = { answers: seen.join('\n'), output, argumentLists };
  for (const file of files) places[file] = await readFile(file, 'latin1');
  const found = Object.entries(places).flatMap(([place, text]) =>
    Object.entries(secrets).flatMap(([name, secret]) =>
      formsOf(secret).some((form) => text.includes(form)) ? [`${name} in ${place}`] : [],
    ),
  );
  expect(found).toEqual([]);
}, 120_000);

it('L6 a snapshot of the heap, taken after the leases ended, holds none of their secrets', async () => {
  const session = await shop.open(gateway.ready.url);
  await callTool(session, 'crm__get_customer', { id: '1' });
  await callTool(session, 'wrong_crm__get_customer', { id: '1' });
  await callTool(session, 'crashing__echo', { id: '1' });
  await callTool(session, 'shop_db__query', { sql: 'SELECT current_user' });
  const [role] = await shop.roles();
  const holder = [...commandLines().keys()].find((pid) => environmentOf(pid, 'PGUSER') === role);
  const leased = environmentOf(holder as number, 'PGPASSWORD') as string;
  const secrets = { CANARY, leased, adminPassword: postgres.password };
  const hits = (heap: string): string[] =>
    Object.entries(secrets).flatMap(([name, secret]) =>
      formsOf(secret).some((form) => heap.includes(form)) ? [name] : [],
    );
  // The scan sees what is there: while they live, leases' secrets are strings on the heap (SECURITY.md).
  expect(hits(await snapshotHeap())).toEqual(['CANARY', 'leased']);

  await session.end();
  // Of a static secret the lease lapses; it is out of use all the same. Sockets close a moment later.
  await eventually(
    'a heap without secrets',
    async () => {
      const heap = await snapshotHeap();
      return { hits: hits(heap), isWhole: heap.includes('wrong_crm') };
    },
    (seen) => seen.isWhole && seen.hits.length === 0,
    30_000,
  );
}, 180_000);

it('L6 the scan would have found them: the same secrets are where they belong', async () => {
  const session = await shop.open(gateway.ready.url);
  await callTool(session, 'shop_db__query', { sql: 'SELECT 1' });
  const [own] = await shop.roles();
  const holders = await eventually(
    'the process that holds the credential',
    () => [...commandLines().keys()].filter((pid) => environmentOf(pid, 'PGUSER') === own),
    (pids) => pids.length > 0,
  );
  expect(environmentOf(holders[0] as number, 'PGPASSWORD')).toMatch(/^[A-Za-z0-9_-]{43}$/);
  expect(crm.accepted()).toBeGreaterThan(0);
  expect(crm.refused()).toBeGreaterThan(0);
  await session.end();
}, 60_000);
