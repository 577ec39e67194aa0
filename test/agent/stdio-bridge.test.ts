import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { PassThrough } from 'node:stream';
import { afterEach, describe, expect, it } from 'vitest';
import { bridgeStdio } from '../../src/agent/stdio-bridge.ts';
import type { TaskSession } from '../../src/agent/task-session.ts';

/** The bridge against a server that answers as it is told: what a gateway, or a proxy before it, may send back. */
const closers: (() => Promise<unknown>)[] = [];
afterEach(async () => {
  for (const close of closers.splice(0)) await close();
});

type Answer = (request: IncomingMessage, response: ServerResponse, body: string) => void;

async function serve(answer: Answer): Promise<string> {
  const server = createServer(async (request, response) => {
    let body = '';
    for await (const chunk of request) body += String(chunk);
    answer(request, response, body);
  });
  await new Promise<void>((listening) => server.listen(0, '127.0.0.1', listening));
  closers.push(() => {
    server.closeAllConnections();
    return new Promise((closed) => server.close(closed));
  });
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}/mcp`;
}

function fakeSession(mcpUrl: string, tokens = ['first', 'second']): TaskSession & { refreshed: () => number } {
  let refreshed = 0;
  return {
    granted: { task: 'tsk_x', purpose: 'p', expires_at: 0 },
    mcpUrl,
    token: async () => tokens[refreshed] as string,
    refresh: async () => {
      refreshed += 1;
      return tokens[refreshed] as string;
    },
    notePrompt: async () => {},
    end: async () => {},
    refreshed: () => refreshed,
  };
}

/** Sends lines, closes, and gives the lines that came back. */
async function relay(
  session: TaskSession,
  chunks: (string | Buffer)[],
  graceMs = 5_000,
): Promise<{ replies: unknown[]; problems: string[] }> {
  const input = new PassThrough();
  const output = new PassThrough();
  const problems: string[] = [];
  let text = '';
  output.setEncoding('utf8').on('data', (chunk: string) => {
    text += chunk;
  });
  for (const chunk of chunks) input.write(chunk);
  input.end();
  await bridgeStdio({ session, input, output, onProblem: (problem) => problems.push(problem), graceMs });
  return {
    replies: text
      .split('\n')
      .filter(Boolean)
      .map((line) => JSON.parse(line) as unknown),
    problems,
  };
}

const ok: Answer = (_request, response, body) => {
  const { id } = JSON.parse(body) as { id?: unknown };
  if (id === undefined) response.writeHead(202).end();
  else
    response
      .setHeader('Content-Type', 'application/json')
      .end(JSON.stringify({ jsonrpc: '2.0', id, result: { body } }));
};
const PING = '{"jsonrpc":"2.0","id":1,"method":"ping"}';

describe('bridgeStdio', () => {
  it('relays each line as it is, whatever chunks it comes in, and the last one without its end', async () => {
    const text = `{"jsonrpc":"2.0","id":"ü","method":"x","params":{"t":"a\u2028b\u2029c"}}`;
    const bytes = Buffer.from(`\r\n${text}\r\n\n${PING}`);
    const session = fakeSession(await serve(ok));
    const { replies } = await relay(
      session,
      [...bytes].map((byte) => Buffer.of(byte)),
    );
    expect(replies).toHaveLength(2);
    expect(replies).toContainEqual({ jsonrpc: '2.0', id: 'ü', result: { body: text } });
  });

  it('asks once more with a fresh token after a 401, and no further', async () => {
    const seen: (string | undefined)[] = [];
    const url = await serve((request, response, body) => {
      seen.push(request.headers.authorization);
      if (request.headers.authorization === 'Bearer second') return ok(request, response, body);
      response
        .writeHead(401, { 'Content-Type': 'application/json' })
        .end('{"jsonrpc":"2.0","id":null,"error":{"code":-32001,"message":"expired"}}');
    });
    expect((await relay(fakeSession(url), [`${PING}\n`])).replies).toEqual([
      expect.objectContaining({ id: 1, result: expect.anything() }),
    ]);
    expect(seen).toEqual(['Bearer first', 'Bearer second']);
    const refused = await relay(fakeSession(url, ['first', 'third']), [`${PING}\n`]);
    expect(refused.replies).toEqual([{ jsonrpc: '2.0', id: 1, error: { code: -32000, message: 'expired' } }]);
    expect(seen).toHaveLength(4);
  });

  it.each<[string, Answer, RegExp]>([
    [
      'a page of a proxy',
      (_q, r) => void r.writeHead(502, { 'Content-Type': 'text/html' }).end('<h1>Bad gateway</h1>'),
      /^Remit: /,
    ],
    [
      'JSON that is no JSON-RPC',
      (_q, r) =>
        void r
          .writeHead(421, { 'Content-Type': 'application/json' })
          .end('{"error":"invalid_request","error_description":"the Host header does not name this gateway"}'),
      /HTTP 421: the Host header/,
    ],
    ['nothing', (_q, r) => void r.writeHead(503).end(), /no reply \(HTTP 503\)/],
    ['a connection that breaks', (q) => void q.socket.destroy(), /^Remit: /],
  ])('answers a request with an error when the gateway sends %s', async (_, answer, message) => {
    const { replies } = await relay(fakeSession(await serve(answer)), [`${PING}\n`]);
    expect(replies).toEqual([
      { jsonrpc: '2.0', id: 1, error: { code: -32000, message: expect.stringMatching(message) } },
    ]);
  });

  it('passes on every message of an event stream', async () => {
    const url = await serve((_request, response) => {
      response
        .setHeader('Content-Type', 'text/event-stream')
        .end(
          `event: message\ndata: {"jsonrpc":"2.0","method":"n"}\n\n: comment\n\nid: 1\ndata: {"jsonrpc":"2.0",\ndata: "id":1,"result":{}}\n\n`,
        );
    });
    const { replies } = await relay(fakeSession(url), [`${PING}\n`]);
    expect(replies).toEqual([
      { jsonrpc: '2.0', method: 'n' },
      { jsonrpc: '2.0', id: 1, result: {} },
    ]);
  });

  it('sends the agreed version with everything after the handshake', async () => {
    const versions: unknown[] = [];
    const url = await serve((request, response, body) => {
      versions.push(request.headers['mcp-protocol-version']);
      const { id } = JSON.parse(body) as { id: number };
      response
        .setHeader('Content-Type', 'application/json')
        .end(JSON.stringify({ jsonrpc: '2.0', id, result: { protocolVersion: '2025-06-18' } }));
    });
    await relay(fakeSession(url), ['{"jsonrpc":"2.0","id":0,"method":"initialize"}\n', `${PING}\n`]);
    expect(versions).toEqual([undefined, '2025-06-18']);
  });

  it('does not wait for ever for an answer when the client has gone', async () => {
    const { replies } = await relay(fakeSession(await serve(() => {})), [`${PING}\n`], 50);
    expect(replies).toEqual([]);
  });
});
