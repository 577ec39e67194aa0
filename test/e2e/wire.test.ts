import { randomBytes } from 'node:crypto';
import { createServer, type IncomingMessage, type Server } from 'node:http';
import { type AddressInfo, connect } from 'node:net';
import type { Client } from '@modelcontextprotocol/client';
import { toNodeHandler } from '@modelcontextprotocol/node';
import { createMcpHandler, McpServer } from '@modelcontextprotocol/server';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { z } from 'zod';
import { endAll, startUp, type Up } from '../cli/remit.ts';
import {
  type ClientEra,
  connectTo,
  type Estate,
  exceptionFor,
  makeClient,
  makeEstate,
  recordsOf,
  takeTask,
} from '../support/whole-gateway.ts';

/** A whole gateway between the official client and an official server, over HTTP: what goes over the wire on either side. */
/** Everything that the server has, as a template names it: a long-lived secret is for a written list. */
const NOTES = ['add-note', 'big', 'echo-secret', 'resource:notes://all/*', 'prompt:summarise'];
const SECRET = `up_${randomBytes(20).toString('hex')}`;
const seen: { headers: IncomingMessage['headers']; body: string }[] = [];
let upstream: Server;
let gateway: Up;
let token: string;
let estate: Estate;

beforeAll(async () => {
  const handler = toNodeHandler(
    createMcpHandler(() => {
      const server = new McpServer({ name: 'notes', version: '1' });
      server.registerTool(
        'add-note',
        { description: 'Adds.', inputSchema: z.object({ text: z.string() }) },
        ({ text }) => ({
          content: [{ type: 'text', text: `added ${text}` }],
        }),
      );
      server.registerTool('big', { description: 'Big.', inputSchema: z.object({ size: z.number() }) }, ({ size }) => ({
        content: [{ type: 'text', text: 'x'.repeat(size) }],
      }));
      server.registerTool('echo-secret', { description: 'Careless.', inputSchema: z.object({}) }, () => ({
        content: [{ type: 'text', text: `${'y'.repeat(400_000)} Bearer ${SECRET}` }],
      }));
      server.registerResource('note', 'notes://all/first', { mimeType: 'text/plain' }, (uri) => ({
        contents: [{ uri: uri.href, text: 'the first note' }],
      }));
      server.registerResource('hidden', 'notes://private/diary', { mimeType: 'text/plain' }, (uri) => ({
        contents: [{ uri: uri.href, text: 'dear diary' }],
      }));
      server.registerPrompt('summarise', { description: 'Summarises.' }, () => ({
        messages: [{ role: 'user', content: { type: 'text', text: 'Summarise the notes.' } }],
      }));
      return server;
    }),
  );
  upstream = createServer((request, response) => {
    const chunks: Buffer[] = [];
    request.on('data', (chunk: Buffer) => chunks.push(chunk));
    request.on('end', () => seen.push({ headers: request.headers, body: Buffer.concat(chunks).toString() }));
    if (request.headers.authorization === `Bearer ${SECRET}`)
      void handler(request as Parameters<typeof handler>[0], response);
    else response.writeHead(401).end();
  });
  await new Promise<void>((resolve) => upstream.listen(0, '127.0.0.1', resolve));
  estate = await makeEstate({
    secrets: { notes_token: SECRET },
    yaml: () => `connectors:
  notes:
    owner: dana@shop.example
    transport: { http: { url: "http://127.0.0.1:${(upstream.address() as AddressInfo).port}/mcp" } }
    credential: { static: { secret: notes_token, exception: ${exceptionFor(...NOTES)} } }
    tools:
      add-note: { class: write, arguments: { text: string }, approvedBy: dana@shop.example }
      big: { class: read, approvedBy: dana@shop.example }
      echo-secret: { class: read, approvedBy: dana@shop.example }
    resources:
      "notes://all/*": { class: read, approvedBy: dana@shop.example }
    prompts:
      summarise: { class: read, approvedBy: dana@shop.example }
templates:
  note: { owner: dana@shop.example, purpose: keep notes, agents: [scribe], classes: [read, write], tools: ${JSON.stringify(NOTES.map((name) => `notes/${name}`))} }
`,
    policy: `@id("scribe")
permit (principal == Remit::Agent::"scribe", action, resource);
@id("nothing-rude")
forbid (principal, action == Remit::Action::"notes/add-note", resource) when { context.args.text like "*rude*" };
`,
  });
  gateway = await startUp(estate.config);
  ({ token } = await takeTask(estate, 'note'));
});

afterAll(async () => {
  await gateway?.stop();
  await endAll();
  upstream?.closeAllConnections();
  await new Promise((resolve) => upstream?.close(resolve));
});

const connectClient = (era: ClientEra, path = '/mcp'): Promise<Client> =>
  connectTo(makeClient(era), gateway, token, path);

describe.each(['legacy', 'modern'] as const)('a %s client of the official SDK', (era) => {
  it('lists and calls tools, resources and prompts, under prefixed names', async () => {
    const client = await connectClient(era);
    const { tools } = await client.listTools();
    expect(tools.map(({ name }) => name).sort()).toEqual(['notes__add_note', 'notes__big', 'notes__echo_secret']);
    const reply = await client.callTool({ name: 'notes__add_note', arguments: { text: 'milk' } });
    expect(reply.content).toEqual([{ type: 'text', text: 'added milk' }]);
    const { resources } = await client.listResources();
    expect(resources.map(({ uri }) => uri)).toEqual(['notes://all/first']);
    const read = await client.readResource({ uri: 'notes://all/first' });
    expect(read.contents).toMatchObject([{ text: 'the first note' }]);
    expect((await client.listPrompts()).prompts.map(({ name }) => name)).toEqual(['notes__summarise']);
    expect((await client.getPrompt({ name: 'notes__summarise' })).messages).toHaveLength(1);
    await client.close();
  });

  it('sees the server’s own names on the connector’s own path', async () => {
    const client = await connectClient(era, '/mcp/notes');
    expect((await client.listTools()).tools.map(({ name }) => name)).toContain('add-note');
    const reply = await client.callTool({ name: 'add-note', arguments: { text: 'tea' } });
    expect(reply.content).toEqual([{ type: 'text', text: 'added tea' }]);
    await client.close();
  });

  it('fault 37, D1: an undescribed resource is neither listed nor read, and a denied call says why', async () => {
    const client = await connectClient(era);
    await expect(client.readResource({ uri: 'notes://private/diary' })).rejects.toThrow(/not found|-32002|-32602/i);
    const denied = await client.callTool({ name: 'notes__add_note', arguments: { text: 'something rude' } });
    expect(denied.isError).toBe(true);
    expect(JSON.stringify(denied.content)).toContain('nothing-rude');
    await client.close();
  });

  it('gets a result of 2 MB whole', async () => {
    const client = await connectClient(era);
    const outcomes = async () => (await recordsOf(estate, 'outcome')).filter(({ tool }) => tool === 'notes/big');
    const before = (await outcomes()).length;
    const reply = await client.callTool({ name: 'notes__big', arguments: { size: 2_000_000 } });
    expect((reply.content as { text: string }[])[0]?.text).toHaveLength(2_000_000);
    await client.close();
    await expect.poll(async () => (await outcomes()).length).toBe(before + 1);
    expect((await outcomes()).at(-1)?.detail).toMatchObject({ status: 'ok' });
  });

  it('L6 never gets the credential, small result or large', async () => {
    const client = await connectClient(era);
    const reply = await client
      .callTool({ name: 'notes__echo_secret', arguments: {} })
      .catch((error: unknown) => String(error));
    expect(JSON.stringify(reply)).not.toContain(SECRET);
    await client.close();
  });
});

it('A35, A14: neither the caller’s token nor its identity claims reach the connector', async () => {
  seen.length = 0;
  const response = await fetch(`${gateway.url}/mcp`, {
    method: 'POST',
    headers: {
      Authorization: `Bearer ${token}`,
      'Content-Type': 'application/json',
      Accept: 'application/json, text/event-stream',
      'X-Forwarded-User': 'root',
      Cookie: 'session=theirs',
    },
    body: JSON.stringify({
      jsonrpc: '2.0',
      id: 1,
      method: 'tools/call',
      params: { name: 'notes__add_note', arguments: { text: 'x' }, _meta: { tenant: 'other', role: 'admin' } },
    }),
  });
  expect(await response.text()).toContain('added x');
  expect(seen.length).toBeGreaterThan(0);
  const all = JSON.stringify(seen);
  expect(all).not.toContain(token);
  expect(all).not.toContain('theirs');
  expect(all).not.toContain('"root"');
  expect(all).not.toContain('admin');
});

it('A32: the port is open on loopback’s own address only', async () => {
  const { port } = new URL(gateway.url);
  const tryAddress = (host: string): Promise<string> =>
    new Promise((resolve) => {
      const socket = connect(Number(port), host);
      socket.once('connect', () => {
        socket.destroy();
        resolve('open');
      });
      socket.once('error', (error: NodeJS.ErrnoException) => resolve(error.code ?? 'error'));
    });
  expect(await tryAddress('127.0.0.1')).toBe('open');
  // Bound to every interface, it would answer here too.
  expect(await tryAddress('127.0.0.2')).toBe('ECONNREFUSED');
});
