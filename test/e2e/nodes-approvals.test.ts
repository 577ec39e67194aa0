import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { StreamableHTTPClientTransport } from '@modelcontextprotocol/client';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { endAll, run, runToFail, type Up, until } from '../cli/remit.ts';
import { type FakePayments, HOLD, startFakePayments } from '../support/fake-payments.ts';
import { at, makeNodesEstate, type NodesEstate } from '../support/gateway-nodes.ts';
import { runSql } from '../support/shop-database.ts';
import { type ClientEra, makeClient, type OwnTask } from '../support/whole-gateway.ts';

/** Two gateways on one PostgreSQL and a third that is not started, a policy that holds every payment, and clients of which no two requests come to the same node. */
let payments: FakePayments;
let estate: NodesEstate;
const gateways: Up[] = [];

beforeAll(async () => {
  payments = await startFakePayments();
  estate = await makeNodesEstate(3, {
    yaml: `connectors:
  bank:
    owner: dana@shop.example
    transport: { http: { url: "${payments.url}" } }
    tools:
      pay: { class: financial, arguments: { to: string, amount: long }, approvedBy: dana@shop.example }
templates:
  pay: { owner: dana@shop.example, purpose: pay the bills, agents: [scribe], classes: [financial], tools: ["bank/*"] }
`,
  });
  await writeFile(join(node(0).folder, 'policies', 'all.cedar'), HOLD);
  for (const index of [0, 1]) gateways.push(await estate.start(index));
});
afterAll(async () => {
  await endAll();
  await payments?.close();
  await estate?.close();
});

const node = (index: number) => estate.nodes[index] as NodesEstate['nodes'][number];
const take = (index: number): Promise<OwnTask> => estate.token(index, { template: 'pay' });

/** @returns the client, and at which nodes its requests have come in */
async function connectInTurn(client: ReturnType<typeof makeClient>, { token }: OwnTask) {
  const came: number[] = [];
  const fetchInTurn = (address: string | URL, init?: RequestInit): Promise<Response> => {
    const index = came.length % 2;
    came.push(index);
    return fetch(Object.assign(new URL(address), { port: String(node(index).port) }), init);
  };
  const requestInit = { headers: { Authorization: `Bearer ${token}` } };
  await client.connect(
    new StreamableHTTPClientTransport(new URL(`${at(node(0)).url}/mcp`), { requestInit, fetch: fetchInTurn }),
  );
  return came;
}

interface Answer {
  readonly isError?: boolean;
  readonly content: readonly { readonly text?: string }[];
  readonly _meta?: { readonly 'io.remit/decision'?: { readonly approval?: string } };
}
const pay = async (client: ReturnType<typeof makeClient>, to: string, options = {}): Promise<Answer> =>
  (await client.callTool({ name: 'bank__pay', arguments: { to, amount: 1 } }, options)) as Answer;
const textOf = ({ content }: Answer): string => content.map(({ text }) => text).join();

const pendingOf = async ({ task }: OwnTask): Promise<string> => {
  const sql = `SELECT id FROM approvals WHERE task = '${task}' AND state = 'pending'`;
  const find = async () => (await runSql(estate.postgres, sql, { database: 'postgres' }))[0]?.id as string | undefined;
  return await until(find, 'it waits');
};
const approve = async (index: number, id: string): Promise<void> => {
  const done = await run(['approve', id, '--config', node(index).config]);
  expect(done.code, done.stderr).toBe(0);
};

describe.each(['legacy', 'modern'] as const)(
  'a %s client of which no two requests come to the same node',
  (era: ClientEra) => {
    it.each([0, 1])(
      'D5 is sent to the page, and its parked call goes on once a person has approved it at node %i',
      async (by) => {
        const own = await take(0);
        const client = makeClient(era, { capabilities: { elicitation: { url: {} } } });
        const asked: unknown[] = [];
        client.setRequestHandler('elicitation/create', async ({ params }) => {
          asked.push(params);
          return { action: 'accept' };
        });
        const came = await connectInTurn(client, own);
        const calling = pay(client, `${era} ${by}`, { timeout: 60_000 });
        const id = await pendingOf(own);
        await until(() => asked.length > 0, 'the client was asked');
        await approve(by, id);
        expect(textOf(await calling)).toBe('paid 1');
        expect(payments.paid.filter((one) => one === `1 ${era} ${by}`)).toHaveLength(1);
        expect(new Set(came).size).toBe(2);
        await client.close();
      },
    );

    it('hears at one node of the progress of a call that waits at the other', async () => {
      const own = await take(1);
      const client = makeClient(era);
      await connectInTurn(client, own);
      const heard: string[] = [];
      const calling = pay(client, `${era} waits`, {
        onprogress: ({ message }: { message?: string }) => void heard.push(String(message)),
        timeout: 60_000,
      });
      const id = await pendingOf(own);
      await until(() => heard.length > 0, 'it is told');
      await approve(0, id);
      expect(textOf(await calling)).toBe('paid 1');
      await client.close();
    });
  },
);

it('D5 what was approved is used once, although the node that held it was killed in between', async () => {
  const own = await take(1);
  const client = makeClient('modern');
  await connectInTurn(client, own);
  const held = await pay(client, 'lost');
  await approve(1, held._meta?.['io.remit/decision']?.approval ?? '');
  gateways[1]?.child.kill('SIGKILL');
  await gateways[1]?.exited;
  const again = makeClient('modern');
  const requestInit = { headers: { Authorization: `Bearer ${own.token}` } };
  await again.connect(new StreamableHTTPClientTransport(new URL(`${at(node(0)).url}/mcp`), { requestInit }));
  const answers = await Promise.all([1, 2, 3].map(() => pay(again, 'lost')));
  expect(answers.filter(({ isError }) => isError !== true).map(textOf)).toEqual(['paid 1']);
  expect(payments.paid.filter((one) => one === '1 lost')).toHaveLength(1);
  await again.close();
});

it('a node whose connections would not fit beside those of the others is not started, and is told the numbers', async () => {
  await runSql(estate.postgres, 'ALTER DATABASE postgres CONNECTION LIMIT 21', { database: 'postgres' });
  expect(await runToFail(['up', '--config', node(2).config])).toMatchObject({
    code: 'ERR_CONFIG_INVALID',
    message: '2 nodes may open 22 connections; the database, or its role, allows 21',
    where: 'store.connections',
    hint: 'Set store.connections to 9 or less at every node, or raise its CONNECTION LIMIT.',
  });
  await runSql(estate.postgres, 'ALTER DATABASE postgres CONNECTION LIMIT 22', { database: 'postgres' });
  gateways.push(await estate.start(2));
});
