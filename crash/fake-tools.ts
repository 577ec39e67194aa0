/**
 * fake-crash-tools: an MCP server over Streamable HTTP whose tools use the credential that came with the call on the real downstream, and
 * leave their session there open, as a server with a connection pool does. Listed in docs/fakes.md.
 */

import { once } from 'node:events';
import { createServer, type IncomingMessage } from 'node:http';
import type { AddressInfo } from 'node:net';
import { createClient } from '@redis/client';
import pg from 'pg';
import { answerHandshake, METHOD_NOT_FOUND } from '../harness/answer-handshake.ts';

export interface FakeTools {
  /** Of the endpoint in front of one downstream. */
  url(kind: 'postgres' | 'redis'): string;
  /** Calls whose credential the downstream took. */
  readonly used: () => number;
  close(): Promise<void>;
}

interface Session {
  /** Whether the downstream took the credential, and did what was asked. */
  use(): Promise<boolean>;
  end(): void;
}

export async function startFakeTools(options: {
  readonly postgres: { readonly port: number; readonly database: string };
  readonly redis?: { readonly port: number } | undefined;
  /** A call has come, and its credential has not been used yet. */
  readonly onCall: (kind: string, user: string) => void;
  /** A session is open, and the answer has not been given. */
  readonly onUsed: (kind: string, user: string) => void;
}): Promise<FakeTools> {
  const sessions = new Map<string, Promise<Session>>();
  let used = 0;

  async function open(kind: string, user: string, password: string): Promise<Session> {
    const forget = (): void => void sessions.delete(user);
    if (kind === 'postgres') {
      const client = new pg.Client({ host: '127.0.0.1', ...options.postgres, user, password });
      client.on('error', forget);
      client.on('end', forget);
      await client.connect();
      return {
        use: () =>
          client.query('SELECT count(*) FROM orders').then(
            () => true,
            () => false,
          ),
        end: () => void client.end().catch(() => {}),
      };
    }
    const client = createClient({
      socket: { host: '127.0.0.1', port: options.redis?.port ?? 0, reconnectStrategy: false },
      username: user,
      password,
      disableClientInfo: true,
    });
    client.on('error', forget);
    client.on('end', forget);
    await client.connect();
    return {
      use: () =>
        client.get('orders:1').then(
          () => true,
          () => false,
        ),
      end: () => client.destroy(),
    };
  }

  async function call(kind: string, request: IncomingMessage): Promise<boolean> {
    const { 'x-user': user = '', 'x-password': password = '' } = request.headers as Record<string, string>;
    options.onCall(kind, user);
    const session = sessions.get(user) ?? open(kind, user, password);
    sessions.set(user, session);
    try {
      const isDone = await (await session).use();
      if (isDone) {
        used += 1;
        options.onUsed(kind, user);
      }
      return isDone;
    } catch {
      sessions.delete(user);
      return false;
    }
  }

  const server = createServer(async (request, response) => {
    if (request.method !== 'POST') {
      response.writeHead(405).end();
      return;
    }
    const chunks: Buffer[] = [];
    for await (const chunk of request) chunks.push(chunk as Buffer);
    const { id, method, params } = JSON.parse(Buffer.concat(chunks).toString()) as {
      id?: number;
      method: string;
      params?: { protocolVersion?: string };
    };
    if (id === undefined) {
      response.writeHead(202).end();
      return;
    }
    const kind = (request.url ?? '').slice(1);
    const body = JSON.stringify({ jsonrpc: '2.0', id, ...(await answer(method, params, () => call(kind, request))) });
    response
      .writeHead(200, { 'Content-Type': 'application/json', 'Content-Length': Buffer.byteLength(body) })
      .end(body);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  return {
    url: (kind) => `http://127.0.0.1:${port}/${kind}`,
    used: () => used,
    async close() {
      for (const session of sessions.values()) session.then((open) => open.end()).catch(() => {});
      server.closeAllConnections();
      server.close();
      await once(server, 'close');
    },
  };
}

async function answer(
  method: string,
  params: { protocolVersion?: string } | undefined,
  call: () => Promise<boolean>,
): Promise<object> {
  const handshake = answerHandshake('fake-crash-tools', method, params?.protocolVersion);
  if (handshake !== undefined) return handshake;
  switch (method) {
    case 'tools/list':
      return { result: { tools: [{ name: 'look', description: 'Look.', inputSchema: { type: 'object' } }] } };
    case 'tools/call': {
      const isDone = await call();
      return { result: { isError: !isDone, content: [{ type: 'text', text: isDone ? 'looked' : 'refused' }] } };
    }
    default:
      return METHOD_NOT_FOUND;
  }
}
