import { readFile } from 'node:fs/promises';
import { resolve } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { endAll, run, startUp, type Up } from '../cli/remit.ts';
import { type FakePayments, makePaymentsEstate, startFakePayments } from '../support/fake-payments.ts';
import { connectTo, type Estate, makeClient, type OwnTask, takeTask } from '../support/whole-gateway.ts';

/** `docs/how-to/approve-calls.md`, as somebody would follow it. */
let payments: FakePayments;
let estate: Estate;
let gateway: Up;
let own: OwnTask;
let commands: string[];

const blocksOf = (text: string, language: string): string[] =>
  [...text.matchAll(new RegExp(`^\`\`\`${language}\\n([^]*?)^\`\`\``, 'gm'))].map((match) => match[1] as string);

beforeAll(async () => {
  const text = await readFile(resolve(import.meta.dirname, '../../docs/how-to/approve-calls.md'), 'utf8');
  const [policy = ''] = blocksOf(text, 'cedar');
  const [yaml = ''] = blocksOf(text, 'yaml');
  commands = blocksOf(text, 'sh').flatMap((block) => block.trim().split('\n'));
  payments = await startFakePayments();
  estate = await makePaymentsEstate(payments, { policy, yaml });
  gateway = await startUp(estate.config);
  own = await takeTask(estate, 'pay');
});

afterAll(async () => {
  await gateway?.stop();
  await endAll();
  await payments?.close();
});

async function pay(to: string): Promise<{ isPaid: boolean; approval: string }> {
  const client = await connectTo(makeClient('modern'), gateway, own.token);
  const answer = (await client.callTool({ name: 'bank__pay', arguments: { to, amount: 1 } })) as {
    isError?: boolean;
    _meta?: { 'io.remit/decision'?: { approval?: string } };
  };
  await client.close();
  return { isPaid: answer.isError !== true, approval: answer._meta?.['io.remit/decision']?.approval ?? '' };
}

it('every command of the page works on a call that waits, and does what the page says', async () => {
  expect(commands).toHaveLength(6);
  for (const [index, line] of commands.entries()) {
    const to = `vendor-${index}`;
    const { isPaid, approval } = await pay(to);
    expect(isPaid).toBe(false);
    const words = [...line.replace('APPROVAL', approval).matchAll(/"([^"]*)"|(\S+)/g)].map(
      ([, quoted, plain]) => quoted ?? plain ?? '',
    );
    expect(words[0]).toBe('remit');
    const done = await run([...words.slice(1), '--config', estate.config]);
    expect(done.stderr).toBe('');
    expect(done.code).toBe(0);
    if (line.includes('ls') || line.includes('show')) expect(done.stdout).toContain(approval);
    if (line.includes('show')) expect(done.stdout).toContain(`"to": "${to}"`);
    if (line.includes('link')) expect(done.stdout).toContain(`${gateway.url}/approvals/sign-in/`);
    if (line.includes('approve ')) expect((await pay(to)).isPaid).toBe(true);
    if (line.includes('deny ')) expect((await pay(to)).isPaid).toBe(false);
    if (line.includes('--for-task')) {
      expect((await pay('anybody')).isPaid).toBe(true);
      expect((await pay('somebody')).isPaid).toBe(true);
      expect((await pay('nobody')).isPaid).toBe(false);
      break;
    }
  }
  const link = await run([...(commands.at(-1) ?? '').split(' ').slice(1), '--config', estate.config]);
  expect(link.stdout).toContain(`${gateway.url}/approvals/sign-in/`);
});
