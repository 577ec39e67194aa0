import { execFile } from 'node:child_process';
import { readFile, writeFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { promisify } from 'node:util';
import { gzipSync } from 'node:zlib';
import { afterAll, beforeAll, beforeEach, expect, it } from 'vitest';
import { endAll, run, runJson, startUp, type Up } from '../cli/remit.ts';
import { type FakeDecisionPoint, startFakeDecisionPoint } from '../support/fake-decision-point.ts';
import { fakeOpaBundle } from '../support/fake-opa-module.ts';
import { type FakePayments, makePaymentsEstate, startFakePayments } from '../support/fake-payments.ts';
import { connectTo, type Estate, makeClient, type OwnTask, recordsOf, takeTask } from '../support/whole-gateway.ts';

/** `docs/how-to/use-an-external-pdp.md`, as somebody would follow it: one decision point of each kind. */
const POLICY = '@id("all")\npermit (principal, action, resource);\n';
const TOKEN = '5'.repeat(64);
let company: FakeDecisionPoint;
let opa: FakeDecisionPoint;
let payments: FakePayments;
let estate: Estate;
let gateway: Up;
let own: OwnTask;
let commands: string[];

const blocksOf = (text: string, language: string): string[] =>
  [...text.matchAll(new RegExp(`^\`\`\`${language}\\n([^]*?)^\`\`\``, 'gm'))].map((match) => match[1] as string);

beforeAll(async () => {
  const text = await readFile(resolve(import.meta.dirname, '../../docs/how-to/use-an-external-pdp.md'), 'utf8');
  commands = blocksOf(text, 'sh').flatMap((block) => block.trim().split('\n'));
  const [authzen = '', rego = '', wasm = '', points = ''] = blocksOf(text, 'yaml');
  company = await startFakeDecisionPoint();
  opa = await startFakeDecisionPoint();
  payments = await startFakePayments();
  const yaml = [
    authzen.replace('https://pdp.shop.example', company.url),
    rego.replace('http://127.0.0.1:8181', opa.url),
    wasm.replace('remit/allow', 'fake/allow'),
    points,
  ].join('');
  estate = await makePaymentsEstate(payments, { policy: POLICY, yaml });
  // Denies where it finds the one who may not be paid.
  await writeFile(join(estate.folder, 'bundle.tar.gz'), gzipSync(fakeOpaBundle({ forbidden: '"amount":13' })));
  const [put = ''] = commands;
  await run([...put.split(' ').slice(1), '--config', estate.config], { input: 's3cret' });
  const [, , , store = ''] = commands;
  expect(store).toBe('openssl rand -hex 32 | remit secret put portal-token');
  await run(['secret', 'put', 'portal-token', '--config', estate.config], { input: TOKEN });
  gateway = await startUp(estate.config);
  own = await takeTask(estate, 'pay');
});

afterAll(async () => {
  await gateway?.stop();
  await endAll();
  await Promise.all([company?.close(), opa?.close(), payments?.close()]);
});

beforeEach(() => {
  company.answer = () => ({ decision: true });
  opa.answer = () => ({ result: true });
});

async function pay(amount: number, to = 'vendor'): Promise<string> {
  const client = await connectTo(makeClient('modern'), gateway, own.token);
  try {
    const answer = (await client.callTool({ name: 'bank__pay', arguments: { to, amount } })) as {
      isError?: boolean;
      _meta?: { 'io.remit/decision'?: { policies?: string[] } };
    };
    return answer.isError === true ? (answer._meta?.['io.remit/decision']?.policies ?? []).join() : 'ok';
  } finally {
    await client.close();
  }
}

it('what all permit is made; they are told what the page says, and nothing else', async () => {
  expect(await pay(5, 'vendor-4711')).toBe('ok');
  const [asked] = company.asked;
  expect(asked).toMatchObject({
    path: '/access/v1/evaluation',
    authorization: 'Bearer s3cret',
    body: {
      subject: { type: 'agent', id: 'scribe' },
      action: { name: 'call', properties: { actionClass: 'financial' } },
      resource: { type: 'tool', id: 'bank/pay', properties: { connector: 'bank' } },
      context: { task: { id: own.task, template: 'pay' }, arguments: { amount: 5 } },
    },
  });
  expect(opa.asked[0]).toMatchObject({ path: '/v1/data/remit/allow', body: { input: { context: { arguments: {} } } } });
  expect(JSON.stringify([company.asked, opa.asked])).not.toContain('vendor-4711');
  expect(payments.paid).toEqual(['5 vendor-4711']);
});

it('D1 each of them denies for itself, and a fault of any denies, under a rule of its own', async () => {
  const before = payments.paid.length;
  company.answer = () => ({ decision: false, context: { reason_user: 'Not on a Saturday.' } });
  expect(await pay(5)).toBe('remit:external/company');
  company.answer = () => 503;
  expect(await pay(5)).toBe('remit:external-fault/company');
  company.answer = () => 'hang';
  expect(await pay(5)).toBe('remit:external-fault/company');
  company.answer = () => ({ decision: true });
  opa.answer = () => ({});
  expect(await pay(5)).toBe('remit:external-fault/rego');
  opa.answer = () => ({ result: false });
  expect(await pay(5)).toBe('remit:external/rego');
  expect(payments.paid).toHaveLength(before);

  const words = (commands[2] ?? '').split(' ').slice(1);
  const shown = await run([...words, '--config', estate.config]);
  expect(shown.stdout).toContain('remit:external-fault/company');
  const denied = (await recordsOf(estate, 'decision')).filter(({ detail }) => detail.verdict === 'deny');
  expect(denied.map(({ detail }) => detail.gate)).toEqual(Array.from({ length: 5 }, () => 'external_policy'));
  expect(denied[0]?.detail.reason).toBe('Not on a Saturday.');
});

it('D1 nothing of the record or the log holds the token', async () => {
  expect(JSON.stringify(await recordsOf(estate, 'decision'))).not.toContain('s3cret');
  expect(gateway.stdout() + gateway.stderr()).not.toContain('s3cret');
});

async function approveAll(): Promise<void> {
  const waiting = await runJson<{ id: string }[]>(['approval', 'ls', '--config', estate.config]);
  expect(waiting).toHaveLength(1);
  for (const { id } of waiting) {
    expect(await run(['approve', id, '--reason', 'invoice', '--config', estate.config])).toMatchObject({ code: 0 });
  }
}

it('D5 a hold is approved like any other, is asked about once more, and made once', async () => {
  company.answer = () => ({ decision: true, context: { step_up: 'count=1 expires=15m' } });
  expect(await pay(7)).toBe('remit:external/company');
  await approveAll();
  const before = company.asked.length;
  expect(await pay(7)).toBe('ok');
  expect(company.asked.length).toBeGreaterThan(before);

  // Approved, and then denied by the one who held it: deny wins.
  company.answer = () => ({ decision: true, context: { step_up: 'count=1' } });
  await pay(8);
  await approveAll();
  company.answer = () => ({ decision: false });
  const paid = payments.paid.length;
  expect(await pay(8)).toBe('remit:external/company');
  expect(payments.paid).toHaveLength(paid);
});

it('an enforcement point asks as the page says, and nothing follows from it', async () => {
  const line = (commands.at(-1) ?? '').replace('http://127.0.0.1:7420', gateway.url).replace('TASK', own.task);
  const ask = async (token: string) => {
    const words = [...line.replace('TOKEN', token).matchAll(/"([^"]*)"|'([^']*)'|(\S+)/g)].map(
      ([, double, single, plain]) => double ?? single ?? plain ?? '',
    );
    const { stdout } = await promisify(execFile)(words[0] as string, words.slice(1), { timeout: 10_000 });
    return JSON.parse(stdout) as Record<string, unknown>;
  };
  const waiting = () => runJson<object[]>(['approval', 'ls', '--config', estate.config]);
  const before = await waiting();
  const paid = payments.paid.length;
  const decisions = (await recordsOf(estate, 'decision')).length;
  expect(await ask(TOKEN)).toMatchObject({ decision: true, context: { verdict: 'permit' } });
  company.answer = () => ({ decision: true, context: { step_up: 'count=1' } });
  expect(await ask(TOKEN)).toMatchObject({ decision: false, context: { verdict: 'step_up' } });
  company.answer = () => ({ decision: false });
  expect(await ask(TOKEN)).toMatchObject({
    decision: false,
    context: { verdict: 'deny', reason_admin: { en: 'external_policy: remit:external/company' } },
  });
  expect(await ask('wrong')).toEqual({ error: 'invalid_token' });
  expect(await ask(own.token)).toEqual({ error: 'invalid_token' });
  expect(payments.paid).toHaveLength(paid);
  expect(await recordsOf(estate, 'decision')).toHaveLength(decisions);
  expect(await waiting()).toEqual(before);
  const records = await recordsOf(estate, 'evaluation');
  expect(records.map(({ agent, task, tool, detail }) => [agent, task, tool, detail.by, detail.verdict])).toEqual(
    ['permit', 'step_up', 'deny'].map((verdict) => ['scribe', own.task, 'bank/pay', 'portal', verdict]),
  );
  expect(records[0]?.sealed).toBeDefined();
  expect(JSON.stringify(records)).not.toContain(TOKEN);
});

it('D1 a module that cannot be used, and a misspelt item, stop the start', async () => {
  const config = await readFile(estate.config, 'utf8');
  const elsewhere = join(estate.folder, 'other.yaml');
  const tries: [string, string, RegExp][] = [
    ['entrypoint: fake/allow', 'entrypoint: remit/other', /no entrypoint remit\/other/],
    ['bank/pay: [amount]', 'bank/pya: [amount]', /bank\/pya is not in the configuration/],
    [company.url, 'http://pdp.shop.example', /use https/],
  ];
  for (const [from, to, why] of tries) {
    await writeFile(
      elsewhere,
      config
        .replace(from, to)
        .replace('token: pdp-token', '')
        .replace(/ {2}enforcementPoints:\n.*\n/, '')
        .replace('version: 1', 'version: 1\ndata: elsewhere'),
    );
    const up = await run(['up', '--config', elsewhere]);
    expect(up.code).not.toBe(0);
    expect(up.stderr + up.stdout).toMatch(why);
  }
});
