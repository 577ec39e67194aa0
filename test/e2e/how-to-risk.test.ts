import { readFile } from 'node:fs/promises';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { resolve } from 'node:path';
import { type CryptoKey, exportJWK, generateKeyPair, SignJWT } from 'jose';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { endAll, run, runJson, startUp, type Up } from '../cli/remit.ts';
import { type FakePayments, makePaymentsEstate, startFakePayments } from '../support/fake-payments.ts';
import { connectTo, type Estate, makeClient, type OwnTask, recordsOf, takeTask } from '../support/whole-gateway.ts';

/** `docs/how-to/react-to-risk.md`, as somebody would follow it. */
const POLICY = `@id("all")
permit (principal, action, resource);
@id("not-to-eve") @reason("Not to Eve.")
forbid (principal, action == Remit::Action::"bank/pay", resource) when { context.args.to == "eve" };
`;
let payments: FakePayments;
let estate: Estate;
let gateway: Up;
let own: OwnTask;
let commands: string[];
let transmitter: Server;
let transmitterKey: CryptoKey;

const blocksOf = (text: string, language: string): string[] =>
  [...text.matchAll(new RegExp(`^\`\`\`${language}\\n([^]*?)^\`\`\``, 'gm'))].map((match) => match[1] as string);

beforeAll(async () => {
  const text = await readFile(resolve(import.meta.dirname, '../../docs/how-to/react-to-risk.md'), 'utf8');
  const [yaml = ''] = blocksOf(text, 'yaml');
  commands = blocksOf(text, 'sh').flatMap((block) => block.trim().split('\n'));
  payments = await startFakePayments();
  const pair = await generateKeyPair('ES256', { extractable: true });
  transmitterKey = pair.privateKey;
  const jwk = { ...(await exportJWK(pair.publicKey)), kid: 'k1' };
  transmitter = createServer((_, response) => void response.end(JSON.stringify({ keys: [jwk] })));
  await new Promise<void>((resolve) => transmitter.listen(0, '127.0.0.1', resolve));
  const issuer = `http://127.0.0.1:${(transmitter.address() as AddressInfo).port}`;
  const entry = `{ issuer: "${issuer}", audience: remit, jwksUri: "${issuer}/keys", events: { "urn:left": 60 }, agents: [scribe] }`;
  estate = await makePaymentsEstate(payments, { policy: POLICY, yaml: `${yaml}  transmitters: { idp: ${entry} }\n` });
  gateway = await startUp(estate.config);
  own = await takeTask(estate, 'pay');
});

afterAll(async () => {
  await gateway?.stop();
  await endAll();
  await payments?.close();
  transmitter?.close();
});

/** What the client is told, and by which rule. */
async function call(name: string, args: Record<string, unknown>): Promise<string> {
  const client = await connectTo(makeClient('modern'), gateway, own.token);
  try {
    const answer = (await client.callTool({ name: `bank__${name}`, arguments: args })) as {
      isError?: boolean;
      _meta?: { 'io.remit/decision'?: { policies?: string[] } };
    };
    return answer.isError === true ? (answer._meta?.['io.remit/decision']?.policies ?? []).join() : 'ok';
  } finally {
    await client.close();
  }
}

const pay = (to: string): Promise<string> => call('pay', { to, amount: 1 });

async function command(line: string): Promise<string> {
  const filled = line.replace('TASK', own.task).replace('AGENT', 'scribe');
  const words = [...filled.matchAll(/"([^"]*)"|(\S+)/g)].map(([, quoted, plain]) => quoted ?? plain ?? '');
  expect(words[0]).toBe('remit');
  const done = await run([...words.slice(1), '--config', estate.config]);
  expect(done.stderr).toBe('');
  expect(done.code).toBe(0);
  return done.stdout;
}

it('a burst of denials holds the task’s calls, a second one suspends it, and every command of the page does what it says', async () => {
  const [ls = '', show = '', tail = '', ...goOn] = commands;
  expect(goOn).toHaveLength(3);
  expect(await pay('vendor')).toBe('ok');
  for (let at = 0; at < 3; at += 1) expect(await pay('eve')).toBe('not-to-eve');
  expect(await pay('vendor')).toBe('remit:risk');
  expect(await call('balance', {})).toBe('ok');
  expect(payments.paid).toEqual(['1 vendor']);
  expect(await command(ls)).toMatch(new RegExp(`task +${own.task} +high`));
  expect(await command(show)).toContain('3 denials within 60 s, the last: not-to-eve bank/pay');
  expect(await command(tail)).toContain('signal');

  for (let at = 0; at < 3; at += 1) await pay('eve').catch(() => 'suspended');
  await expect.poll(() => recordsOf(estate, 'task_suspended'), { timeout: 10_000 }).toHaveLength(1);
  expect((await recordsOf(estate, 'task_suspended'))[0]?.detail).toMatchObject({ by: 'remit:risk' });
  for (const line of goOn) await command(line);
  expect(await pay('vendor')).toBe('ok');
  const cleared = (await recordsOf(estate, 'administration')).filter(({ detail }) => detail.action === 'risk_clear');
  expect(cleared.map(({ detail }) => detail)).toMatchObject([
    { subject: `task ${own.task}`, level: 'critical' },
    { subject: 'agent scribe' },
  ]);
  const held = (await recordsOf(estate, 'decision')).find(({ detail }) => detail.verdict === 'step_up');
  expect(held?.detail).toMatchObject({ gate: 'risk', risk: { task: 'high', agent: 'high' } });
});

it('V2 a risk survives a restart, and what is cleared stays cleared', async () => {
  for (let at = 0; at < 3; at += 1) await pay('eve');
  await gateway.stop();
  gateway = await startUp(estate.config);
  const risks = await runJson<{ kind: string; id: string; level: string }[]>(['risk', 'ls', '--config', estate.config]);
  expect(risks).toEqual([
    expect.objectContaining({ kind: expect.stringMatching(/task|agent/), level: 'high' }),
    expect.objectContaining({ kind: expect.stringMatching(/task|agent/), level: 'high' }),
  ]);
  await run(['risk', 'clear', 'task', own.task, '--reason', 'looked', '--config', estate.config]);
  await run(['risk', 'clear', 'agent', 'scribe', '--reason', 'looked', '--config', estate.config]);
  await gateway.stop();
  gateway = await startUp(estate.config);
  expect(await runJson(['risk', 'ls', '--config', estate.config])).toEqual([]);
});

it('another system’s word moves the risk of an agent, over the port', async () => {
  const issuer = `http://127.0.0.1:${(transmitter.address() as AddressInfo).port}`;
  const subject = { format: 'opaque', id: 'agent scribe' };
  const claims = { iss: issuer, aud: 'remit', jti: 'j1', sub_id: subject, events: { 'urn:left': {} } };
  const token = await new SignJWT(claims)
    .setProtectedHeader({ alg: 'ES256', kid: 'k1', typ: 'secevent+jwt' })
    .setIssuedAt()
    .sign(transmitterKey);
  const push = (body: string) =>
    fetch(`${gateway.url}/risk/events`, {
      method: 'POST',
      headers: { 'Content-Type': 'application/secevent+jwt' },
      body,
    });
  expect((await push(`${token.slice(0, -8)}AAAAAAAA`)).status).toBe(400);
  expect((await push(token)).status).toBe(202);
  expect(await runJson(['risk', 'ls', '--config', estate.config])).toMatchObject([
    { kind: 'agent', id: 'scribe', level: 'high' },
  ]);
  expect((await recordsOf(estate, 'signal')).at(-1)?.detail).toMatchObject({
    signal: 'external',
    what: 'idp: urn:left',
  });
});
