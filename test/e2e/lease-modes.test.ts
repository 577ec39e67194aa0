import { randomBytes } from 'node:crypto';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { toNodeHandler } from '@modelcontextprotocol/node';
import { createMcpHandler, McpServer } from '@modelcontextprotocol/server';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { z } from 'zod';
import type { LeaseView } from '../../src/leases/lease-view.ts';
import { endAll, run, runJson, runToFail, startUp, type Up, until } from '../cli/remit.ts';
import { connectTo, type Estate, exceptionFor, makeClient, makeEstate, takeTask } from '../support/whole-gateway.ts';

/** A whole gateway before a server over HTTP whose credential is for one call. */
const SECRET = `up_${randomBytes(20).toString('hex')}`;
const TOOLS = ['add', 'read'];
let upstream: Server;
let estate: Estate;
let gateway: Up;

const yamlFor = (transport: string, mode: string) => `connectors:
  notes:
    owner: dana@shop.example
    transport: ${transport}
    credential: { mode: ${mode}, static: { secret: notes_token, exception: ${exceptionFor(...TOOLS)} } }
    tools:
      add: { class: write, approvedBy: dana@shop.example }
      read: { class: read, approvedBy: dana@shop.example }
templates:
  note: { owner: dana@shop.example, purpose: keep notes, agents: [scribe], classes: [read, write], tools: [notes/add, notes/read] }
`;

beforeAll(async () => {
  const handler = toNodeHandler(
    createMcpHandler(() => {
      const server = new McpServer({ name: 'notes', version: '1' });
      for (const name of TOOLS) {
        server.registerTool(name, { description: name, inputSchema: z.object({}) }, () => ({
          content: [{ type: 'text', text: `${name} done` }],
        }));
      }
      return server;
    }),
  );
  upstream = createServer((request, response) => {
    if (request.headers.authorization === `Bearer ${SECRET}`)
      void handler(request as Parameters<typeof handler>[0], response);
    else response.writeHead(401).end();
  });
  await new Promise<void>((resolve) => upstream.listen(0, '127.0.0.1', resolve));
  const { port } = upstream.address() as AddressInfo;
  const transport = `{ http: { url: "http://127.0.0.1:${port}/mcp" } }`;
  estate = await makeEstate({ secrets: { notes_token: SECRET }, yaml: () => yamlFor(transport, 'call') });
  gateway = await startUp(estate.config);
});

afterAll(async () => {
  await gateway?.stop();
  await endAll();
  upstream?.closeAllConnections();
  await new Promise((resolve) => upstream?.close(resolve));
});

describe.each(['legacy', 'modern'] as const)('a %s client, a credential a call', (era) => {
  it('gets each call served with a lease of its own, which is over with the call and shown for what it is', async () => {
    const { token, task } = await takeTask(estate, 'note');
    const client = await connectTo(makeClient(era), gateway, token);
    const call = (name: string) => client.callTool({ name: `notes__${name}`, arguments: {} });
    const replies = await Promise.all([call('add'), call('read'), call('read')]);
    replies.push(await call('read'));
    expect(replies.map(({ isError }) => isError ?? false)).toEqual([false, false, false, false]);
    const shown = () => runJson<LeaseView[]>(['lease', 'ls', '--task', task, '--config', estate.config]);
    // A static secret cannot be revoked: nobody calls it that (L7).
    const leases = await until(async () => {
      const all = await shown();
      return all.every(({ state }) => state === 'lapsing') && all;
    }, 'leases that are over');
    expect(leases.map(({ tool }) => tool).sort()).toEqual(['notes/add', 'notes/read', 'notes/read', 'notes/read']);
    for (const lease of leases) {
      expect(lease).toMatchObject({ mode: 'call', uses: 1, endReason: 'call_over', revocation: 'expiry_only' });
    }
    const { stdout } = await run(['lease', 'show', leases[0]?.id ?? '', '--config', estate.config]);
    expect(stdout).toMatch(/mode +call/);
    expect(stdout).not.toContain(SECRET);
    await client.close();
  });
});

it('a process cannot have a credential a call: refused at the start, with where and what else', async () => {
  const stdio = '{ stdio: { command: [node, server.mjs] } }';
  const wrong = await makeEstate({ secrets: { notes_token: SECRET }, yaml: () => yamlFor(stdio, 'call') });
  expect(await runToFail(['up', '--config', wrong.config])).toMatchObject({
    code: 'ERR_CONFIG_INVALID',
    where: 'connectors.notes.credential.mode',
    hint: expect.stringContaining('task_tool'),
  });
});
