import { appendFile, mkdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { endAll, run, runToFail, startUp, type Up, until } from '../cli/remit.ts';
import { type FakePayments, HOLD, makePaymentsEstate, startFakePayments } from '../support/fake-payments.ts';
import { connectTo, type Estate, makeClient, type OwnTask, recordsOf, takeTask } from '../support/whole-gateway.ts';

/** `docs/how-to/change-policies.md`, as somebody would follow it. */
let payments: FakePayments;
let estate: Estate;
let gateway: Up;
let own: OwnTask;
let page: string;

const blocksOf = (text: string, language: string): string[] =>
  [...text.matchAll(new RegExp(`^\`\`\`${language}\\n([^]*?)^\`\`\``, 'gm'))].map((match) => match[1] as string);
const commandsOf = (text: string): string[] => blocksOf(text, 'sh').flatMap((block) => block.trim().split('\n'));
const policies = (): string => join(estate.folder, 'policies', 'all.cedar');

beforeAll(async () => {
  page = await readFile(resolve(import.meta.dirname, '../../docs/how-to/change-policies.md'), 'utf8');
  payments = await startFakePayments();
  estate = await makePaymentsEstate(payments, { policy: HOLD });
  gateway = await startUp(estate.config);
  own = await takeTask(estate, 'pay');
});

afterAll(async () => {
  await gateway?.stop();
  await endAll();
  await payments?.close();
});

/** What the gateway says of a call of `bank/balance`: the ids of the policies that denied it, or none. */
async function readBalance(): Promise<{ isDenied: boolean; policies?: string[]; policyVersion?: string }> {
  const client = await connectTo(makeClient('modern'), gateway, own.token);
  const { _meta } = (await client.callTool({ name: 'bank__balance', arguments: {} })) as {
    _meta?: { 'io.remit/decision'?: { policies: string[]; policyVersion: string } };
  };
  await client.close();
  const decision = _meta?.['io.remit/decision'];
  return decision === undefined ? { isDenied: false } : { isDenied: true, ...decision };
}

it('every command of the page does what the page says', async () => {
  const [cases = ''] = blocksOf(page, 'yaml');
  await writeFile(join(estate.folder, 'policies', 'money.cases.yaml'), cases);
  const commands = commandsOf(page).filter((line) => !line.includes('policy shadow'));
  expect(commands).toEqual([
    'remit policy check',
    'remit policy test',
    'remit policy lint --fail-on never',
    'remit policy reload',
    'remit policy versions',
  ]);
  expect((await readBalance()).isDenied).toBe(false);
  await appendFile(
    policies(),
    '@id("not-today")\nforbid (principal, action == Remit::Action::"bank/balance", resource);\n',
  );
  // The case that says what must stay true stands in the way.
  const tried = await run(['policy', 'test', '--config', estate.config]);
  expect(tried.code).toBe(1);
  expect(tried.stdout).toContain('money.cases.yaml:4: the balance can be read\n    verdict: expected permit, not deny');
  expect(tried.stdout).toContain('by not-today');
  expect(await runToFail(['policy', 'reload', '--config', estate.config])).toMatchObject({
    code: 'ERR_POLICY_INVALID',
    where: expect.stringContaining('money.cases.yaml:4'),
  });
  expect((await readBalance()).isDenied).toBe(false);

  await writeFile(join(estate.folder, 'policies', 'money.cases.yaml'), cases.replace('expect: permit', 'expect: deny'));
  const told: string[] = [];
  for (const line of commands) {
    const done = await run([...line.split(' ').slice(1), '--config', estate.config]);
    expect(done).toMatchObject({ code: 0, stderr: '' });
    told.push(done.stdout);
  }
  expect(told[1]).toContain('2 of 2 cases hold.');
  expect(told[2]).toContain('any-principal');
  expect((await run(['policy', 'lint', '--fail-on', 'medium', '--config', estate.config])).code).toBe(1);
  const [, version = ''] = /policies are in force: (sha256:[0-9a-f]{64}) \(2 cases hold\)/.exec(told[3] ?? '') ?? [];
  expect(told[4]).toContain(version);
  expect(told[4]).toContain('The folder holds the last one.');
  expect(await readBalance()).toEqual({
    isDenied: true,
    verdict: 'deny',
    gate: 'agent_policy',
    policies: ['not-today'],
    policyVersion: version,
    reason: expect.any(String),
    nextStep: expect.any(String),
  });
  const administration = await recordsOf(estate, 'administration');
  const changes = administration
    .map(({ detail }) => detail)
    .filter(({ action }) => String(action).startsWith('policy_'));
  expect(changes).toMatchObject([
    { action: 'policy_reload_refused', code: 'ERR_POLICY_INVALID' },
    {
      action: 'policy_reload',
      to: version,
      cases: 2,
      files: [{ file: 'all.cedar' }, { file: 'money.cases.yaml' }],
      by: expect.any(String),
    },
  ]);
});

it('kill −9 after a reload, and policies that were changed since: the next start reads the folder, says so on the trail, and a bad one does not start', async () => {
  gateway.child.kill('SIGKILL');
  await gateway.exited;
  await writeFile(policies(), 'permit (principal');
  expect(await runToFail(['up', '--config', estate.config])).toMatchObject({
    code: 'ERR_POLICY_INVALID',
    where: expect.stringContaining('all.cedar:1:'),
  });
  await rm(join(estate.folder, 'policies', 'money.cases.yaml'));
  await writeFile(policies(), HOLD);
  gateway = await startUp(estate.config);
  own = await takeTask(estate, 'pay');
  expect((await readBalance()).isDenied).toBe(false);
  const starts = await recordsOf(estate, 'gateway_started');
  expect(starts.at(-1)?.detail).toMatchObject({
    policyVersion: starts[0]?.detail.policyVersion,
    policyFiles: [{ file: 'all.cedar', digest: expect.stringMatching(/^sha256:/) }],
  });
});

it('what a connector’s policies deny is let through while it is only observed: on the trail, and a finding', async () => {
  await gateway.stop();
  const before = await readFile(estate.config, 'utf8');
  const until = new Date(Date.now() + 86_400_000).toISOString();
  await appendFile(estate.config, (blocksOf(page, 'yaml')[1] ?? '').replace('UNTIL', until));
  await writeFile(policies(), '@id("closed")\nforbid (principal, action, resource);\n');
  gateway = await startUp(estate.config);
  own = await takeTask(estate, 'pay');
  expect((await readBalance()).isDenied).toBe(false);
  expect((await recordsOf(estate, 'decision')).at(-1)?.detail).toMatchObject({
    verdict: 'permit',
    wouldDeny: { gate: 'agent_policy', policies: ['closed'] },
  });
  expect((await recordsOf(estate, 'gateway_started')).at(-1)?.detail.observing).toMatchObject([{ connector: 'bank' }]);
  const findings = await run(['findings', '--json', '--config', estate.config]);
  expect(findings.stdout).toContain('only_observed');
  expect((await run(['doctor', '--config', estate.config])).stdout).toMatch(
    /observe: what policies deny the connector bank/,
  );
  await gateway.stop();
  await writeFile(estate.config, before);
  await writeFile(policies(), HOLD);
  gateway = await startUp(estate.config);
});

it('other policies are tried beside those in force: calls go on as ever, and what would differ is on the trail', async () => {
  const tried = join(estate.folder, 'policies-next');
  await mkdir(tried);
  await writeFile(
    join(tried, 'all.cedar'),
    `${HOLD}@id("not-next")\nforbid (principal, action == Remit::Action::"bank/balance", resource);\n`,
  );
  const [begin = '', look = '', stop = ''] = commandsOf(page).filter((line) => line.includes('policy shadow'));
  const told = async (line: string): Promise<string> => {
    const args = line.replace('policies-next', tried).split(' ').slice(1);
    const done = await run([...args, '--config', estate.config]);
    expect(done).toMatchObject({ code: 0, stderr: '' });
    return done.stdout;
  };
  own = await takeTask(estate, 'pay');
  expect(await told(begin)).toContain('0 of 0 calls');
  expect(await readBalance()).toEqual({ isDenied: false });
  await until(async () => (await told(look)).includes('1 of 1 calls would be decided otherwise'), 'it has been asked');
  expect(await told(stop)).toMatch(/permit → deny +not-next/);
  expect(await told(look)).toContain('No policies are tried.');
  const [shadow] = await recordsOf(estate, 'shadow');
  const decision = (await recordsOf(estate, 'decision')).at(-1);
  expect(shadow).toMatchObject({ span: decision?.span, task: own.task, detail: { to: 'deny', by: ['not-next'] } });
  expect((await recordsOf(estate, 'administration')).slice(-2).map(({ detail }) => detail)).toMatchObject([
    { action: 'policy_shadow', cases: 0 },
    { action: 'policy_shadow_ended', counts: { same: 0, differing: 1, failed: 0, dropped: 0 } },
  ]);
});

it('with policyReload: watch a changed folder is in force by itself, and a broken one changes nothing', async () => {
  await gateway.stop();
  await appendFile(estate.config, blocksOf(page, 'yaml')[2] ?? '');
  gateway = await startUp(estate.config);
  own = await takeTask(estate, 'pay');
  await writeFile(policies(), '@id("closed")\nforbid (principal, action, resource);\n');
  await until(async () => (await readBalance()).isDenied, 'the changed folder is in force');
  await writeFile(policies(), 'permit (');
  await until(() => gateway.stderr().includes('the policies were not reloaded'), 'the broken folder is logged');
  expect(await readBalance()).toMatchObject({ isDenied: true, policies: ['closed'] });
  await writeFile(policies(), HOLD);
  await until(async () => !(await readBalance()).isDenied, 'the mended folder is in force');
});
