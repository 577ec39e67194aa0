import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { endAll, type Finished, run, startUp, type Up } from '../cli/remit.ts';
import { type FakePayments, makePaymentsEstate, startFakePayments } from '../support/fake-payments.ts';
import { connectTo, type Estate, makeClient, type OwnTask, recordsOf, takeTask } from '../support/whole-gateway.ts';

/** `docs/how-to/explain-a-decision.md`, as somebody would follow it: with the gateway running, and again once it has stopped. */
const POLICY = `@id("all")
permit (principal, action, resource);
@id("small-amounts") @reason("Large payments are not for agents.") @next("Ask the bank.")
forbid (principal, action == Remit::Action::"bank/pay", resource) when { context.args.amount > 900 };
`;
let payments: FakePayments;
let estate: Estate;
let gateway: Up;
let own: OwnTask;
let denied: string;
let commands: string[];

beforeAll(async () => {
  const text = await readFile(resolve(import.meta.dirname, '../../docs/how-to/explain-a-decision.md'), 'utf8');
  commands = [...text.matchAll(/^```sh\n([\s\S]*?)^```/gm)].flatMap(([, block = '']) => block.trim().split('\n'));
  payments = await startFakePayments();
  estate = await makePaymentsEstate(payments, { policy: POLICY });
  await mkdir(join(estate.folder, 'new'));
  await writeFile(
    join(estate.folder, 'new', 'all.cedar'),
    POLICY.replace('small-amounts', 'smaller-amounts').replace('900', '10'),
  );
  gateway = await startUp(estate.config);
  own = await takeTask(estate, 'pay');
  const client = await connectTo(makeClient('modern'), gateway, own.token);
  await client.listTools();
  await client.callTool({ name: 'bank__balance', arguments: {} });
  await client.callTool({ name: 'bank__pay', arguments: { to: 'vendor', amount: 50 } });
  await client.callTool({ name: 'bank__pay', arguments: { to: 'vendor', amount: 950 } });
  await client.close();
  denied = (await recordsOf(estate, 'decision')).find(({ detail }) => detail.verdict === 'deny')?.span as string;
});

afterAll(async () => {
  await gateway?.stop();
  await endAll();
  await payments?.close();
});

async function command(line: string, suggested: string): Promise<Finished> {
  const filled = line
    .replaceAll('SUGGESTED', join(estate.folder, suggested))
    .replace('NEW', join(estate.folder, 'new'))
    .replace('CALL', denied)
    .replace('TASK', own.task);
  const words = [...filled.matchAll(/"([^"]*)"|(\S+)/g)].map(([, quoted, plain]) => quoted ?? plain ?? '');
  expect(words[0]).toBe('remit');
  const done = await run([...words.slice(1), '--config', estate.config]);
  expect(done.stderr).toBe('');
  expect(done.code).toBe(0);
  return done;
}

async function followPage(suggested: string): Promise<void> {
  const [last, byId, json, simulated, sealed, shown, written, again, task] = commands as [
    string,
    string,
    string,
    string,
    string,
    string,
    string,
    string,
    string,
  ];
  expect(commands).toHaveLength(9);
  for (const line of [last, byId]) {
    const { stdout } = await command(line, suggested);
    expect(stdout).toMatch(/^DENIED call [0-9a-f]{16}/);
    expect(stdout).toMatch(/agent_policy +denied +small-amounts: Large payments are not for agents\./);
    expect(stdout).toMatch(/policy +small-amounts, forbid at .*policies\/all\.cedar:3/);
    expect(stdout).toContain('  - Ask the bank.');
    // Values are sealed, and nobody has asked for them.
    expect(stdout).not.toContain('vendor');
  }
  expect(JSON.parse((await command(json, suggested)).stdout)).toMatchObject({
    call: denied,
    isSameVersion: true,
    callsLeft: 98,
  });

  const report = (await command(simulated, suggested)).stdout;
  expect(report).toContain('baseline: 3 of 3 calls reproduced');
  expect(report).toContain('listings: 2 of 2 items reproduced');
  expect(report).toContain('1 of 3 calls change');
  expect(report).toMatch(/1 +call +scribe +bank\/pay +permit → deny +smaller-amounts/);
  const unopened = JSON.parse((await command(sealed, suggested)).stdout);
  expect(unopened).toMatchObject({ baseline: { of: 1, reproduced: 1 }, changed: 0, leftOut: { arguments_sealed: 2 } });

  const advice = (await command(shown, suggested)).stdout;
  expect(advice).toMatch(/scribe +2 +2 +1\.00/);
  expect(advice).toContain('@id("all-scribe")');
  expect(advice).toContain('principal == Remit::Agent::"scribe"');
  expect(advice).toContain('+   tools: ["bank/balance","bank/pay"]');
  expect(advice).toContain('Nothing is applied.');
  await command(written, suggested);
  expect(await readFile(join(estate.folder, suggested, 'policies', 'all.cedar'), 'utf8')).toContain(
    '@id("all-scribe")',
  );
  const nothing = (await command(again, suggested)).stdout;
  expect(nothing).toContain('0 of 3 calls change');

  const side = (await command(task, suggested)).stdout;
  expect(side).toMatch(/purpose +pay the bills/);
  expect(side).toMatch(/tools +bank\/\* +bank\/balance 1×/);
  expect(side).toMatch(/calls +\d+ +2 +\d+/);
}

it('every command of the page does what the page says, with a gateway and without one', async () => {
  await followPage('suggested');
  expect(await readFile(join(estate.folder, 'policies', 'all.cedar'), 'utf8')).toBe(POLICY);
  await gateway.stop();
  await followPage('suggested-later');
}, 240_000);

it('A5 arguments are opened by a simulation only once that is on the trail, and for whom it is given on the terms of today', async () => {
  const reads = await recordsOf(estate, 'content_read');
  expect(reads.length).toBeGreaterThanOrEqual(4);
  expect(reads[0]?.detail).toMatchObject({ about: 'remit policy simulate', records: 2 });
  await writeFile(estate.config, 'auditors: { carol: { publicKey: carol.json } }\n', { flag: 'a' });
  const args = ['policy', 'simulate', join(estate.folder, 'new'), '--json', '--config', estate.config];
  const before = (await recordsOf(estate, 'content_read')).length;
  const { stdout } = await run(args);
  expect(JSON.parse(stdout).leftOut).toEqual({ arguments_sealed: 2 });
  expect(await recordsOf(estate, 'content_read')).toHaveLength(before);
});

it('a folder that holds something is never written over, and a call that is not there is said to be none', async () => {
  const into = ['policy', 'suggest', '--out', join(estate.folder, 'policies'), '--config', estate.config];
  expect((await run(into)).code).toBe(2);
  expect((await run(['why', 'ffffffff', '--config', estate.config])).code).toBe(12);
  expect((await run(['why', '--config', estate.config])).code).toBe(2);
  expect((await run(['task', 'show', 'tsk_none', '--config', estate.config])).code).toBe(12);
});
