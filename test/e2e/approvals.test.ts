import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { RecordType } from '../../src/domain/record.ts';
import { endAll, run, runJson, runToFail, startUp, type Up, until } from '../cli/remit.ts';
import { type FakePayments, makePaymentsEstate, startFakePayments } from '../support/fake-payments.ts';
import {
  connectTo,
  type Estate,
  findPort,
  makeClient,
  type OwnTask,
  recordsOf,
  takeTask,
} from '../support/whole-gateway.ts';

/** A whole gateway whose policy holds every payment: each way that a client can wait, and no way past the person. */
let payments: FakePayments;
let estate: Estate;
let gateway: Up;

beforeAll(async () => {
  payments = await startFakePayments();
  estate = await makePaymentsEstate(payments, { port: await findPort() });
  gateway = await startUp(estate.config);
});

afterAll(async () => {
  await gateway?.stop();
  await endAll();
  await payments?.close();
});

interface Answer {
  readonly isError?: boolean;
  readonly content: readonly { readonly text?: string }[];
  readonly _meta?: { readonly 'io.remit/decision'?: { readonly verdict: string; readonly approval?: string } };
}

const callPay = async (
  client: ReturnType<typeof makeClient>,
  args: Readonly<Record<string, unknown>>,
  options: Parameters<ReturnType<typeof makeClient>['callTool']>[1] = {},
): Promise<Answer> => (await client.callTool({ name: 'bank__pay', arguments: args }, options)) as Answer;

const textOf = (answer: Answer): string => answer.content.map(({ text }) => text).join();
const approvalIn = (answer: Answer): string => answer._meta?.['io.remit/decision']?.approval ?? '';

interface Listed {
  readonly id: string;
  readonly state: string;
  readonly task: string;
}
const pendingOf = async ({ task }: OwnTask): Promise<Listed[]> =>
  (await runJson<Listed[]>(['approval', 'ls', '--task', task, '--config', estate.config])).filter(
    ({ state }) => state === 'pending',
  );
const approve = (id: string, ...more: string[]) =>
  runJson<{ state: string }>(['approve', id, ...more, '--config', estate.config]);

describe.each(['legacy', 'modern'] as const)('a %s client that can neither be asked nor wait', (era) => {
  it('D5 is told how to go on; the very same call passes once after the approval, and no other does', async () => {
    const own = await takeTask(estate, 'pay');
    const client = await connectTo(makeClient(era), gateway, own.token);
    const before = payments.paid.length;
    const held = await callPay(client, { to: 'ann', amount: 5 });
    const id = approvalIn(held);
    expect(held).toMatchObject({ isError: true });
    expect(textOf(held)).toContain('Held by Remit: Money moves.');
    expect(textOf(held)).toContain(`${gateway.url}/approvals/${id}`);
    // Retried, with its members in another order, and over the connector's own path: it is the same call.
    expect(approvalIn(await callPay(client, { amount: 5, to: 'ann' }))).toBe(id);
    const alias = await connectTo(makeClient(era), gateway, own.token, '/mcp/bank');
    const aliased = (await alias.callTool({ name: 'pay', arguments: { to: 'ann', amount: 5 } })) as Answer;
    expect(approvalIn(aliased)).toBe(id);
    expect(await pendingOf(own)).toHaveLength(1);

    expect(await approve(id)).toMatchObject({ state: 'approved' });
    const mutated = await callPay(client, { to: 'ann', amount: 50 });
    expect(approvalIn(mutated)).not.toBe(id);
    const all = await Promise.all(Array.from({ length: 6 }, () => callPay(client, { to: 'ann', amount: 5 })));
    expect(all.filter(({ isError }) => isError !== true).map(textOf)).toEqual(['paid 5']);
    expect(payments.paid.slice(before)).toEqual(['5 ann']);

    // Another task of the same agent has its own.
    const other = await takeTask(estate, 'pay');
    const elsewhere = await connectTo(makeClient(era), gateway, other.token);
    expect(approvalIn(await callPay(elsewhere, { to: 'ann', amount: 5 }))).not.toBe(id);
    await Promise.all([client.close(), alias.close(), elsewhere.close()]);
  });
});

it('the trail tells the whole of it, in order, under the call', async () => {
  const own = await takeTask(estate, 'pay');
  const client = await connectTo(makeClient('legacy'), gateway, own.token);
  const id = approvalIn(await callPay(client, { to: 'trail', amount: 7 }));
  await approve(id, '--reason', 'seen the invoice');
  await callPay(client, { to: 'trail', amount: 7 });
  await client.close();
  const ofTask = async (type: RecordType) => (await recordsOf(estate, type)).filter(({ task }) => task === own.task);
  const [requested] = await ofTask('approval_requested');
  const [verdict] = await ofTask('approval_verdict');
  const [used] = await until(async () => {
    const found = await ofTask('approval_used');
    return found.length > 0 && found;
  }, 'the use is on record');
  const decisions = await ofTask('decision');
  expect(decisions.map(({ detail }) => detail.verdict)).toEqual(['step_up', 'step_up', 'permit']);
  expect(decisions.at(-1)?.detail.approval).toBe(id);
  expect(requested?.detail).toMatchObject({ approval: id, policies: ['money-moves'], terms: [{ count: 1, limit: 3 }] });
  expect(verdict?.detail).toMatchObject({
    approval: id,
    verdict: 'approve',
    via: 'command line',
    reason: 'seen the invoice',
  });
  expect(String(verdict?.detail.by)).toMatch(/^os:./);
  const order = [decisions[0], requested, verdict, decisions[1], used, decisions[2]].map((record) => record?.seq);
  expect(order).toEqual([...order].sort((a, b) => Number(a) - Number(b)));
  // Nothing of the arguments is in the clear, on the trail or in the inbox once it is over.
  expect(JSON.stringify([requested, verdict, used])).not.toContain('trail"');
});

it('a client with a progress token is kept waiting, and hears of it', async () => {
  const own = await takeTask(estate, 'pay');
  const client = await connectTo(makeClient('legacy'), gateway, own.token);
  const heard: string[] = [];
  const calling = callPay(
    client,
    { to: 'held', amount: 1 },
    { onprogress: ({ message }) => void heard.push(String(message)), timeout: 60_000, resetTimeoutOnProgress: true },
  );
  const [waiting] = await until(async () => {
    const found = await pendingOf(own);
    return found.length > 0 && found;
  }, 'it waits');
  await until(() => heard.length >= 2, 'progress comes again', 15_000);
  expect(heard[0]).toContain(`/approvals/${waiting?.id}`);
  expect(payments.paid).not.toContain('1 held');
  await approve(waiting?.id ?? '');
  expect(textOf(await calling)).toBe('paid 1');
  expect(payments.paid.filter((one) => one === '1 held')).toHaveLength(1);
  await client.close();
});

describe.each(['legacy', 'modern'] as const)('a %s client that opens pages', (era) => {
  it('A6 is sent to the page; what it answers, a form and its content too, is no verdict', async () => {
    const own = await takeTask(estate, 'pay');
    const client = makeClient(era, { capabilities: { elicitation: { form: {}, url: {} } } });
    const asked: unknown[] = [];
    client.setRequestHandler('elicitation/create', async ({ params }) => {
      asked.push(params);
      return { action: 'accept', content: { approved: true, verdict: 'approve' } };
    });
    await connectTo(client, gateway, own.token);
    const calling = callPay(client, { to: era, amount: 2 }, { timeout: 90_000 });
    const [waiting] = await until(async () => {
      const found = await pendingOf(own);
      return found.length > 0 && found;
    }, 'it waits');
    await until(() => asked.length > 0, 'the client was asked');
    expect(asked[0]).toMatchObject({ mode: 'url', url: `${gateway.url}/approvals/${waiting?.id}` });
    expect(asked[0]).not.toHaveProperty('requestedSchema');
    expect(await pendingOf(own)).toHaveLength(1);
    expect(payments.paid).not.toContain(`2 ${era}`);
    await approve(waiting?.id ?? '');
    expect(textOf(await calling)).toBe('paid 2');
    expect(payments.paid.filter((one) => one === `2 ${era}`)).toHaveLength(1);
    await client.close();
  });

  it('is told how to go on when nobody opens it', async () => {
    const own = await takeTask(estate, 'pay');
    const client = makeClient(era, { capabilities: { elicitation: { url: {} } } });
    client.setRequestHandler('elicitation/create', async () => ({ action: 'decline' }));
    await connectTo(client, gateway, own.token);
    const held = await callPay(client, { to: 'nobody', amount: 3 });
    expect(textOf(held)).toContain('Held by Remit');
    expect(await pendingOf(own)).toHaveLength(1);
    await client.close();
  });
});

it('a denial is told with its reason, and the same call is not asked about again', async () => {
  const own = await takeTask(estate, 'pay');
  const client = await connectTo(makeClient('modern'), gateway, own.token);
  const id = approvalIn(await callPay(client, { to: 'evil', amount: 9 }));
  expect(await runToFail(['deny', id, '--config', estate.config])).toMatchObject({ code: 'ERR_USAGE' });
  await run(['deny', id, '--reason', 'not our vendor', '--config', estate.config]);
  for (let n = 0; n < 2; n += 1) {
    const refused = await callPay(client, { to: 'evil', amount: 9 });
    expect(textOf(refused)).toContain('Denied by Remit: Money moves. A person has denied this call: not our vendor');
  }
  expect(await pendingOf(own)).toHaveLength(0);
  expect(await runToFail(['approve', id, '--config', estate.config])).toMatchObject({ code: 'ERR_APPROVAL_REFUSED' });
  expect(payments.paid).not.toContain('9 evil');
  await client.close();
});

it('for a task: any arguments, so often, within the limit that the policy gives', async () => {
  const own = await takeTask(estate, 'pay');
  const client = await connectTo(makeClient('legacy'), gateway, own.token);
  const id = approvalIn(await callPay(client, { to: 'a', amount: 1 }));
  const tooMany = await runToFail(['approve', id, '--for-task', '--limit', '4', '--config', estate.config]);
  expect(tooMany).toMatchObject({ code: 'ERR_APPROVAL_REFUSED' });
  await approve(id, '--for-task', '--limit', '2');
  const before = payments.paid.length;
  for (const to of ['b', 'c', 'd']) await callPay(client, { to, amount: 1 });
  expect(payments.paid.slice(before)).toEqual(['1 b', '1 c']);
  await client.close();
});

it('V2 a suspension takes back what waits and what was approved, and a resumed task asks anew', async () => {
  const own = await takeTask(estate, 'pay');
  const client = await connectTo(makeClient('legacy'), gateway, own.token);
  const waiting = callPay(client, { to: 'w', amount: 1 }, { onprogress: () => {}, timeout: 60_000 });
  const approved = approvalIn(await callPay(client, { to: 'v', amount: 1 }));
  await approve(approved);
  await run(['task', 'suspend', own.task, '--reason', 'look first', '--config', estate.config]);
  await waiting.catch(() => undefined);
  const listed = await runJson<Listed[]>(['approval', 'ls', '--all', '--task', own.task, '--config', estate.config]);
  expect(listed.map(({ state }) => state)).toEqual(['ended', 'ended']);
  await run(['task', 'resume', own.task, '--config', estate.config]);
  const again = await connectTo(makeClient('legacy'), gateway, own.token);
  expect(approvalIn(await callPay(again, { to: 'v', amount: 1 }))).not.toBe(approved);
  expect(payments.paid).not.toContain('1 v');
  expect(payments.paid).not.toContain('1 w');
  await again.close();
});

it('D5 a gateway killed between verdict and use leaves one use, not more and not less', async () => {
  const own = await takeTask(estate, 'pay');
  const client = await connectTo(makeClient('legacy'), gateway, own.token);
  const id = approvalIn(await callPay(client, { to: 'kill', amount: 1 }));
  await approve(id);
  gateway.child.kill('SIGKILL');
  await gateway.exited;
  gateway = await startUp(estate.config);
  const after = await connectTo(makeClient('legacy'), gateway, own.token);
  const answers = await Promise.all(Array.from({ length: 3 }, () => callPay(after, { to: 'kill', amount: 1 })));
  expect(answers.filter(({ isError }) => isError !== true)).toHaveLength(1);
  expect(payments.paid.filter((one) => one === '1 kill')).toHaveLength(1);
  await after.close();
});
