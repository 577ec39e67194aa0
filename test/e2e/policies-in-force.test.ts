import { appendFile, cp, mkdir, readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { endAll, run, runJson, runToFail } from '../cli/remit.ts';
import { type FakeToolsServer, startFakeToolsServer } from '../support/fake-tools-http-server.ts';
import { at, makeNodesEstate, type NodesEstate, STORE_VARIABLE } from '../support/gateway-nodes.ts';
import { eventually } from '../support/governed-shop.ts';
import { callUnder, type OwnTask } from '../support/whole-gateway.ts';

/** Two gateways on one PostgreSQL, each with a policies folder of its own: what is put in force by one makes the folder of the other an old one. */
const CLOSED = '@id("no-counting")\nforbid (principal, action == Remit::Action::"office/count", resource);\n';
const CASES = `cases:
  - { name: nobody counts, agent: scribe, tool: office/count, expect: deny }
`;
let office: FakeToolsServer;
let estate: NodesEstate;
let task: OwnTask;

const node = (index: number) => estate.nodes[index] as NodesEstate['nodes'][number];
const inFolder = (name: string): string => join(node(0).folder, name);
/** As somebody at the host with the old folder asks. */
const here = (...args: string[]): string[] => [...args, '--config', node(0).config];
const count = (): Promise<string> => callUnder(at(node(0)), task, 'office__count', {});

beforeAll(async () => {
  office = await startFakeToolsServer({ count: () => 'call made' });
  estate = await makeNodesEstate(2, {
    yaml: `connectors:
  office:
    owner: dana@shop.example
    protocol: modern
    transport: { http: { url: ${JSON.stringify(office.url)} } }
    tools:
      count: { class: write, approvedBy: dana@shop.example }
templates:
  office: { owner: dana@shop.example, purpose: test, agents: [scribe], classes: [write], tools: ["office/*"], calls: 100 }
`,
  });
  await appendFile(node(1).config, 'policies: newer\n');
  await cp(inFolder('policies'), inFolder('newer'), { recursive: true });
  for (const index of [0, 1]) await estate.start(index);
  task = await estate.token(0, { template: 'office' });
  expect(await count()).toContain('call made');
  await mkdir(inFolder('newer/more'));
  await writeFile(inFolder('newer/more/closed.cedar'), CLOSED);
  await writeFile(inFolder('newer/more/closed.cases.yaml'), CASES);
  expect(await run(['policy', 'reload', '--config', node(1).config])).toMatchObject({ code: 0 });
  await eventually('denied at the other node', count, (answer) => answer.includes('no-counting'));
});
afterAll(async () => {
  await endAll();
  await office?.close();
  await estate?.close();
});

const SHARED = { from: 'store', by: expect.stringMatching(/, at node n[0-9a-f]{16}$/), folderHolds: 'others' };

it('remit why points at the policies in force, says so, and at a folder where that is named', async () => {
  const told = await run(here('why', '--last'));
  expect(told).toMatchObject({ code: 0, stderr: '' });
  expect(told.stdout).toMatch(/version .*, as is in force now\n {2}policies .*in force at the nodes of the store, by /);
  expect(told.stdout).toContain(`${inFolder('policies')} holds others`);
  expect(told.stdout).toContain('no-counting, forbid at more/closed.cedar:1');
  expect(await runJson(here('why', '--last'))).toMatchObject({ isSameVersion: true, policiesLookedAt: SHARED });

  const named = await run(here('why', '--last', '--policies', inFolder('policies')));
  expect(named.stdout).toContain('; that folder holds others\n');
  expect(named.stdout).toContain('no-counting, not among the policies of now');
});

it('remit policy simulate compares with the policies in force, so that the folder can be tried against them', async () => {
  const simulated = await runJson<{ version: string; baseline: object; changes: object[] }>(
    here('policy', 'simulate', inFolder('policies')),
  );
  expect(simulated).toMatchObject({ baselineFrom: SHARED, changes: [{ kind: 'call', from: 'deny', to: 'permit' }] });
  const named = await run(here('policy', 'simulate', inFolder('newer'), '--baseline', inFolder('policies')));
  expect(named.stdout).toContain(`baseline policies: of ${inFolder('policies')}, as named`);
});

it('remit policy suggest narrows the policies in force', async () => {
  const suggested = await run(here('policy', 'suggest', '--out', inFolder('suggested')));
  expect(suggested.stdout).toContain('policies: in force at the nodes of the store, by ');
  expect(await readFile(inFolder('suggested/policies/more/closed.cedar'), 'utf8')).toBe(CLOSED);
});

it('remit policy versions and remit doctor tell what is in force from what the folder holds', async () => {
  const seen = await runJson<{ versions: { version: string }[]; folder: string; inForce: { version: string } }>(
    here('policy', 'versions'),
  );
  expect(seen.inForce).toMatchObject({ ...SHARED, version: seen.versions.at(-1)?.version });
  expect(seen.folder).toBe(seen.versions[0]?.version);
  const told = await run(here('policy', 'versions'));
  expect(told.stdout).toContain(`In force at the nodes of the store: ${seen.inForce.version}, by `);
  expect(told.stdout).toContain(`The folder holds another: ${seen.folder}.`);
  const { stdout } = await run(['policy', 'versions', '--config', node(1).config]);
  expect(stdout).toContain('The folder holds the one in force.');
  const doctor = await run(here('doctor'));
  expect(doctor.stdout).toMatch(
    new RegExp(
      `policies in force: .*holds other policies than are in force: ${seen.folder}, not ${seen.inForce.version}`,
    ),
  );
});

it('remit policy export writes what is in force into a new folder, with its cases, and over nothing', async () => {
  const exported = await runJson(here('policy', 'export', inFolder('exported')));
  expect(exported).toMatchObject({ ...SHARED, written: inFolder('exported') });
  const all = (folder: string) => readdir(inFolder(folder), { recursive: true });
  const written = (await all('newer')).filter((name) => !name.endsWith('.cedarschema'));
  expect((await all('exported')).sort()).toEqual(written.sort());
  expect(await readFile(inFolder('exported/more/closed.cases.yaml'), 'utf8')).toBe(CASES);
  expect(await runToFail(here('policy', 'export', inFolder('policies')))).toMatchObject({ code: 'ERR_USAGE' });

  const alone = inFolder('alone.yaml');
  await writeFile(alone, 'version: 1\ndata: .alone\n');
  expect(await runToFail(['policy', 'export', 'nowhere', '--config', alone])).toMatchObject({
    code: 'ERR_USAGE',
    where: inFolder('policies'),
  });
});

it('without the store nothing else is taken for what is in force: what is on the trail is told, and what is not is said', async () => {
  const env = { [STORE_VARIABLE]: '' };
  const told = await run(here('why', '--last'), { env });
  expect(told.code).toBe(0);
  expect(told.stdout).toMatch(
    /policies .*could not be read: .*store’s URL is not set \(store\.urlVariable\)\. Set .*--policies/,
  );
  expect(told.stdout).toContain('no-counting, not looked at');
  const versions = await run(here('policy', 'versions'), { env });
  expect(versions.stdout).toMatch(
    /It could not be read which are in force: .*\nThe folder holds sha256:[0-9a-f]{64}\.\n/,
  );
  const named = await run(here('why', '--last', '--policies', inFolder('newer')), { env });
  expect(named.stdout).toContain(', as that folder has it\n');
  for (const args of [
    ['policy', 'simulate', inFolder('newer')],
    ['policy', 'suggest'],
    ['policy', 'export', 'nowhere'],
  ])
    expect(await runToFail(here(...args), { env })).toMatchObject({ code: 'ERR_STORE_UNREACHABLE' });
});

it('nor without the key that opens them', async () => {
  const text = await readFile(node(0).config, 'utf8');
  const config = inFolder('keyless.yaml');
  await writeFile(config, text.replace('vault.key', 'other.key'));
  const told = await run(['why', '--last', '--config', config]);
  expect(told.code).toBe(0);
  expect(told.stdout).toMatch(/policies .*could not be read: .*other\.key/);
  expect(await runToFail(['policy', 'simulate', inFolder('newer'), '--config', config])).toMatchObject({
    code: 'ERR_VAULT_KEY_MISSING',
    hint: expect.stringContaining('--baseline'),
  });
  expect(await runToFail(['policy', 'export', inFolder('keyless'), '--config', config])).toMatchObject({
    code: 'ERR_VAULT_KEY_MISSING',
  });
});
