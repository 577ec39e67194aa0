import { randomUUID } from 'node:crypto';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { NodeStreamableHTTPServerTransport, toNodeHandler } from '@modelcontextprotocol/node';
import { createMcpHandler, McpServer } from '@modelcontextprotocol/server';
import { afterEach, expect, it } from 'vitest';
import { z } from 'zod';
import { createHttpOpener } from '../../src/adapters/upstreams/http-upstream.ts';
import type { Era } from '../../src/domain/era.ts';
import { connectorId, taskId } from '../../src/domain/ids.ts';
import type { JsonObject } from '../../src/domain/json.ts';
import { NO_CREDENTIAL, type Upstream, type UpstreamReply } from '../../src/seams/upstream.ts';
import { CLIENT, schedule } from '../support/fake-mcp-setup.ts';

/** Against servers made with the reference SDK. */

const closers: (() => Promise<unknown>)[] = [];
afterEach(async () => {
  for (const closer of closers.splice(0).reverse()) await closer();
});

function makeServer(): McpServer {
  const server = new McpServer(
    { name: 'real', version: '1' },
    { capabilities: { tools: { listChanged: true }, logging: {} } },
  );
  server.registerTool(
    'add',
    { description: 'adds', inputSchema: z.object({ a: z.number(), b: z.number() }) },
    async ({ a, b }, context) => {
      const progressToken = context.mcpReq._meta?.progressToken;
      if (progressToken !== undefined)
        await context.mcpReq.notify({ method: 'notifications/progress', params: { progressToken, progress: 1 } });
      return { content: [{ type: 'text', text: String(a + b) }] };
    },
  );
  server.registerTool('who', { description: 'asks', inputSchema: z.object({}) }, async (_params, context) => {
    const answer = await context.mcpReq.elicitInput({
      message: 'who?',
      requestedSchema: { type: 'object', properties: { name: { type: 'string' } } },
    });
    return { content: [{ type: 'text', text: JSON.stringify(answer) }] };
  });
  return server;
}

async function listen(server: Server): Promise<string> {
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  closers.push(
    () =>
      new Promise<void>((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  );
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}/mcp`;
}

function serve(handler: ReturnType<typeof createMcpHandler>): Promise<string> {
  const handle = toNodeHandler(handler);
  return listen(createServer((request, response) => void handle(request as Parameters<typeof handle>[0], response)));
}

function open(url: string, prefer: Era, told: string[] = []): Promise<Upstream> {
  const opener = createHttpOpener({ url, clientInfo: CLIENT, schedule });
  closers.push(() => opener.close());
  return opener.open({
    connector: connectorId('real'),
    task: taskId('tsk_a'),
    injection: NO_CREDENTIAL,
    timeoutMs: 5_000,
    prefer,
    clientCapabilities: { elicitation: { form: {} } },
    events: { notification: (method) => void told.push(method), ask: async () => ({ result: {} }) },
  });
}

function callTool(upstream: Upstream, name: string, args: object, told: JsonObject[] = []): Promise<UpstreamReply> {
  return upstream.request({
    method: 'tools/call',
    params: `"name":"${name}","arguments":${JSON.stringify(args)}`,
    meta: '',
    timeoutMs: 5_000,
    name,
    progressToken: 'p-1',
    client: {
      notify: (_method, params) => void told.push(params),
      ask: async () => ({ result: { action: 'accept', content: { name: 'me' } } }),
    },
  });
}

it.each(['modern', 'legacy'] as const)('talks to a dual-era server of the SDK in the %s era', async (era) => {
  const handler = createMcpHandler(() => makeServer(), { legacy: 'stateless' });
  const url = await serve(handler);
  const upstream = await open(url, era);
  expect(upstream.era).toBe(era);
  const told: JsonObject[] = [];
  expect(await callTool(upstream, 'add', { a: 2, b: 3 }, told)).toMatchObject({
    result: { content: [{ type: 'text', text: '5' }] },
  });
  expect(told).toMatchObject([{ progressToken: 'p-1', progress: 1 }]);
  const list = await upstream.request({ method: 'tools/list', params: '', meta: '', timeoutMs: 5_000 });
  expect(list).toMatchObject({ result: { tools: [{ name: 'add' }, { name: 'who' }] } });
  expect(await upstream.request({ method: 'no/such', params: '', meta: '', timeoutMs: 5_000 })).toMatchObject({
    error: { code: -32601 },
  });
  await upstream.watch({ lists: true, resources: [] });
  await upstream.close();
});

it('finds out that a server of the SDK is modern only', async () => {
  const handler = createMcpHandler(() => makeServer(), { legacy: 'reject' });
  const url = await serve(handler);
  expect((await open(url, 'legacy')).era).toBe('modern');
});

it('holds a session with a legacy server of the SDK, is asked by it, and hears of its lists', async () => {
  const transports = new Map<string, NodeStreamableHTTPServerTransport>();
  const servers: McpServer[] = [];
  const url = await listen(
    createServer((request, response) => {
      void (async () => {
        const id = request.headers['mcp-session-id'] as string | undefined;
        let transport = id === undefined ? undefined : transports.get(id);
        if (transport === undefined && id === undefined) {
          const made = new NodeStreamableHTTPServerTransport({
            sessionIdGenerator: () => randomUUID(),
            onsessioninitialized: (session) => void transports.set(session, made),
          });
          const server = makeServer();
          servers.push(server);
          await server.connect(made);
          transport = made;
        }
        if (transport === undefined) response.writeHead(404).end();
        else await transport.handleRequest(request, response);
      })();
    }),
  );
  const told: string[] = [];
  const upstream = await open(url, 'modern', told);
  expect(upstream.era).toBe('legacy');
  expect(await callTool(upstream, 'who', {})).toMatchObject({
    result: { content: [{ type: 'text', text: '{"action":"accept","content":{"name":"me"}}' }] },
  });
  await upstream.watch({ lists: true, resources: [] });
  servers.at(-1)?.sendToolListChanged();
  await expect.poll(() => told).toEqual(['notifications/tools/list_changed']);
  // The server forgets its sessions (fault 13).
  transports.clear();
  await expect(callTool(upstream, 'add', { a: 1, b: 1 })).rejects.toMatchObject({ code: 'ERR_CONNECTOR_UNREACHABLE' });
  expect(await callTool(upstream, 'add', { a: 1, b: 1 })).toMatchObject({ result: { content: [{ text: '2' }] } });
});
