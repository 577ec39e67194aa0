import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { RemitError } from '../domain/errors.ts';
import { isRefused } from '../domain/refusal.ts';
import { checkHeaders } from '../gateway/edge/check-headers.ts';
import type { Gateway } from '../gateway/gateway.ts';
import { authenticate } from '../gateway/stages/authenticate.ts';
import type { Schedule } from '../seams/clock.ts';

/** How long open calls may finish at a stop. */
const DRAIN_MS = 3_000;

type Handler = (request: IncomingMessage, response: ServerResponse) => Promise<void> | void;

export interface Routes {
  /** `/mcp` */
  readonly mcp: Handler;
  /** Everything of the authorization server: `/oauth/…` and its metadata. */
  readonly authorizationServer: Handler;
  /** RFC 9728 document. */
  readonly protectedResource: () => object;
  readonly gateway: () => Gateway;
}

export interface HttpServer {
  readonly host: string;
  readonly port: number;
  /** Sets what is served; until then every request is answered 503. */
  serve(routes: Routes, hosts: ReadonlySet<string>): void;
  close(): Promise<void>;
}

/**
 * Opens the one port of the gateway. It listens before the routes exist, because the port is part of the issuer's name.
 * @throws `ERR_ALREADY_RUNNING` when the port is taken, `ERR_CONFIG_INVALID` when it cannot be opened at all
 */
export async function openHttpServer(host: string, port: number, schedule: Schedule): Promise<HttpServer> {
  let routes: Routes | undefined;
  let hosts: ReadonlySet<string> = new Set();
  const server = createServer((request, response) => {
    if (routes === undefined) return respond(response, 503, { error: 'starting' });
    void dispatch(routes, hosts, request, response).catch(() => {
      if (!response.headersSent) respond(response, 500, { error: 'internal_error' });
      else response.destroy();
    });
  });
  // Slow or half-open requests are cut off (guarantee I3).
  server.headersTimeout = 15_000;
  server.requestTimeout = 60_000;
  server.keepAliveTimeout = 30_000;
  server.maxConnections = 2_000;
  await new Promise<void>((resolve, reject) => {
    server.once('error', (cause: NodeJS.ErrnoException) => reject(listenFault(host, port, cause)));
    server.listen(port, host, resolve);
  });
  return {
    host,
    port: (server.address() as AddressInfo).port,
    serve(served, names) {
      routes = served;
      hosts = names;
    },
    close: () => closeServer(server, schedule),
  };
}

function listenFault(host: string, port: number, cause: NodeJS.ErrnoException): RemitError {
  const isTaken = cause.code === 'EADDRINUSE';
  return new RemitError(
    isTaken ? 'ERR_ALREADY_RUNNING' : 'ERR_CONFIG_INVALID',
    `cannot listen on ${host}:${port}: ${cause.code ?? cause.message}`,
    {
      where: `${host}:${port}`,
      hint: isTaken
        ? 'Another program, perhaps another gateway, has the port: stop it, or set listen.port in remit.yaml.'
        : 'Set listen.host to an address of this machine and listen.port to one that this user may open.',
      cause,
    },
  );
}

async function dispatch(
  routes: Routes,
  hosts: ReadonlySet<string>,
  request: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  const problem = checkHeaders(request, hosts);
  if (problem !== undefined)
    return respond(response, problem.status, { error: 'invalid_request', error_description: problem.reason });
  const path = (request.url ?? '/').split('?', 1)[0];
  switch (path) {
    case '/mcp':
      return routes.mcp(request, response);
    case '/task/end':
      return endTask(routes.gateway(), request, response);
    case '/.well-known/oauth-protected-resource':
    case '/.well-known/oauth-protected-resource/mcp':
      return respond(response, 200, routes.protectedResource());
    case '/healthz':
      return respond(response, 200, { status: 'serving' });
    default:
      return routes.authorizationServer(request, response);
  }
}

/** An agent ends its own task: the token says which. */
async function endTask(gateway: Gateway, request: IncomingMessage, response: ServerResponse): Promise<void> {
  request.resume();
  if (request.method !== 'POST') return respond(response, 405, { error: 'method_not_allowed' });
  const caller = await authenticate(gateway, request.headers.authorization);
  if (isRefused(caller)) {
    const reason = 'reason' in caller.refusal ? caller.refusal.reason : 'refused';
    gateway.recordRefusal({ at: 'task end', reason });
    return respond(response, 401, { error: 'invalid_token', error_description: reason });
  }
  await gateway.tasks.end(caller.task.id, 'completed');
  respond(response, 200, { task: caller.task.id, state: 'ended' });
}

function respond(response: ServerResponse, status: number, body: object): void {
  const text = JSON.stringify(body);
  response.writeHead(status, {
    'Content-Type': 'application/json',
    'Content-Length': Buffer.byteLength(text),
    'Cache-Control': 'no-store',
  });
  response.end(text);
}

/** Stops accepting, lets open calls finish for a while, then closes what is left. */
async function closeServer(server: Server, schedule: Schedule): Promise<void> {
  const closed = new Promise((resolve) => server.close(resolve));
  server.closeIdleConnections();
  const cancel = schedule(DRAIN_MS, () => server.closeAllConnections());
  await closed;
  cancel();
}
