/**
 * A raw Streamable-HTTP MCP server (2025-11-25) that answers as cheaply as Node can: an echo of about 300 bytes, a result of any size, and a
 * stream of progress events. Wants a bearer token, like a real SaaS connector: the one that it was started with, or one that a gateway on this
 * host has signed for it. Prints its port.
 */
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { createRemoteJWKSet, decodeJwt, jwtVerify } from 'jose';
import { answer, type EchoRequest } from './echo.ts';

/** Values of `Authorization` that are known to be good: a token is verified once, as a server with a cache does. */
const good = new Set([`Bearer ${process.argv[2] ?? ''}`]);

const server = createServer((request, response) => {
  const { authorization = '' } = request.headers;
  if (good.has(authorization)) serve(request, response);
  else
    verify(authorization).then(
      () => serve(request, response),
      () => response.writeHead(401).end(),
    );
});

/** @throws for a token that no gateway on this host has signed for this server */
async function verify(authorization: string): Promise<void> {
  const token = authorization.slice('Bearer '.length);
  const { iss = '' } = decodeJwt(token);
  if (new URL(iss).hostname !== '127.0.0.1') throw new Error('not of this host');
  const keys = createRemoteJWKSet(new URL('/oauth/jwks', iss));
  await jwtVerify(token, keys, { audience: `http://127.0.0.1:${portOf()}/mcp`, typ: 'connector+jwt' });
  good.add(authorization);
}

function serve(request: IncomingMessage, response: ServerResponse): void {
  if (request.method !== 'POST') {
    response.writeHead(405).end();
    return;
  }
  const chunks: Buffer[] = [];
  request.on('data', (chunk: Buffer) => chunks.push(chunk));
  request.on('end', () => {
    const message = JSON.parse(Buffer.concat(chunks).toString()) as EchoRequest;
    if (message.id === undefined) {
      response.writeHead(202).end();
      return;
    }
    const args = message.params?.arguments;
    if (message.method === 'tools/call' && args?.events !== undefined)
      return streamEvents(message, args.events, response);
    const body = JSON.stringify({ jsonrpc: '2.0', id: message.id, ...answer(message) });
    response
      .writeHead(200, { 'Content-Type': 'application/json', 'Content-Length': Buffer.byteLength(body) })
      .end(body);
  });
}
server.keepAliveTimeout = 60_000;

/** One event each turn of the event loop, as a tool that works would send them. */
function streamEvents(message: EchoRequest, count: number, response: ServerResponse): void {
  response.writeHead(200, { 'Content-Type': 'text/event-stream', 'Cache-Control': 'no-cache' });
  const token = message.params?._meta?.progressToken;
  const write = (data: object): void => void response.write(`event: message\ndata: ${JSON.stringify(data)}\n\n`);
  let sent = 0;
  const next = (): void => {
    if (sent === count) {
      write({ jsonrpc: '2.0', id: message.id, ...answer(message) });
      response.end();
      return;
    }
    sent += 1;
    write({
      jsonrpc: '2.0',
      method: 'notifications/progress',
      params: { progressToken: token, progress: sent, total: count },
    });
    setImmediate(next);
  };
  next();
}

const portOf = (): number => (server.address() as AddressInfo).port;

server.listen(0, '127.0.0.1', () => {
  process.stdout.write(`{"port":${portOf()}}\n`);
});
