import { Agent, createServer, type IncomingMessage, type ServerResponse, request as send } from 'node:http';
import type { AddressInfo } from 'node:net';

export interface Shim {
  readonly origin: string;
  close(): Promise<void>;
}

/**
 * A loopback reverse proxy that adds the bearer token, because the suite has no option for a header. It changes nothing else: header
 * names, order and repeats, bodies and streams pass as they are. Where Host and Origin name the shim they are made to name the gateway,
 * as they would if the suite spoke to it; a foreign Host or Origin passes untouched, so that it is the gateway that must refuse it.
 */
export async function startShim(target: URL, token: () => Promise<string>): Promise<Shim> {
  const agent = new Agent({ keepAlive: true });
  let own = '';
  const server = createServer((request, response) => {
    token().then(
      (bearer) => forward(request, response, { agent, target, own, bearer }),
      (error: unknown) => fail(response, error),
    );
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  own = `127.0.0.1:${(server.address() as AddressInfo).port}`;
  return {
    origin: `http://${own}`,
    async close() {
      const closed = new Promise<void>((resolve) => server.close(() => resolve()));
      server.closeAllConnections();
      agent.destroy();
      await closed;
    },
  };
}

interface Route {
  readonly agent: Agent;
  readonly target: URL;
  readonly own: string;
  readonly bearer: string;
}

function forward(request: IncomingMessage, response: ServerResponse, route: Route): void {
  const outgoing = send({
    agent: route.agent,
    host: route.target.hostname,
    port: route.target.port,
    method: request.method,
    path: request.url,
    headers: translate(request.rawHeaders, route),
  });
  outgoing.on('response', (incoming) => {
    response.writeHead(incoming.statusCode ?? 502, incoming.statusMessage, incoming.rawHeaders);
    response.flushHeaders();
    incoming.pipe(response);
    incoming.on('error', () => response.destroy());
  });
  outgoing.on('error', (error) => fail(response, error));
  // A client that goes away must be seen to go away: in 2026-07-28 that is how it cancels.
  response.on('close', () => {
    if (!response.writableFinished) outgoing.destroy();
  });
  request.pipe(outgoing);
}

function translate(raw: readonly string[], { target, own, bearer }: Route): string[] {
  const headers: string[] = [];
  let hasToken = false;
  for (let i = 0; i < raw.length; i += 2) {
    const name = raw[i] as string;
    let value = raw[i + 1] as string;
    if (/^host$/i.test(name) && value === own) value = target.host;
    if (/^origin$/i.test(name) && value === `http://${own}`) value = target.origin;
    if (/^authorization$/i.test(name)) hasToken = true;
    headers.push(name, value);
  }
  if (!hasToken) headers.push('Authorization', `Bearer ${bearer}`);
  return headers;
}

function fail(response: ServerResponse, error: unknown): void {
  if (response.headersSent) {
    response.destroy();
    return;
  }
  response.writeHead(502, { 'Content-Type': 'text/plain' });
  response.end(`shim: ${error instanceof Error ? error.message : String(error)}`);
}
