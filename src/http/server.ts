import {
  createServer,
  type IncomingMessage,
  type OutgoingHttpHeader,
  type OutgoingHttpHeaders,
  type Server,
  ServerResponse,
} from 'node:http';
import type { AddressInfo } from 'node:net';
import { RemitError } from '../domain/errors.ts';
import { isRefused } from '../domain/refusal.ts';
import { checkHeaders } from '../gateway/edge/check-headers.ts';
import type { HttpRequest, HttpResponse, WholeRequest } from '../gateway/edge/client-http.ts';
import { sendAnswer } from '../gateway/edge/send-answer.ts';
import type { Gateway } from '../gateway/gateway.ts';
import { authenticate } from '../gateway/stages/authenticate.ts';
import type { Clock, Schedule } from '../seams/clock.ts';
import { refuseCaller, respond } from './answers.ts';
import { PATHS } from './authorization-server/metadata.ts';
import { AUTHZEN_PATHS, type AuthZen, serveAuthZen } from './authzen/serve-authzen.ts';
import { CONNECTOR_OAUTH_PATHS, type ConnectorOauth, serveConnectorOauth } from './connector-oauth.ts';
import { notePrompt } from './note-prompt.ts';
import { RELAYED, type Relay } from './relay.ts';
import { SECURITY_EVENTS_PATH, type SecurityEvents, serveSecurityEvents } from './security-events.ts';
import { readOnWire, type WireServer } from './wire/wire-server.ts';

export interface HttpServerOptions {
  /** Connections at one time; more are closed as they come. */
  readonly maxConnections?: number;
  /** How long calls under way may finish at a stop, in milliseconds. */
  readonly drainMs?: number;
  /** The port is this process's alone, where workers share others. */
  readonly isExclusive?: boolean;
}

const MAX_CONNECTIONS = 10_000;
const DRAIN_MS = 3_000;
/** How often connections whose call has finished are looked for at a stop. */
const IDLE_CHECK_MS = 50;

type HeadersToWrite = OutgoingHttpHeaders | OutgoingHttpHeader[] | undefined;

type Handler = (request: IncomingMessage, response: ServerResponse) => Promise<void> | void;
type McpHandler = (request: HttpRequest, response: HttpResponse) => Promise<void> | void;

export interface Routes {
  /** `/mcp`, and `/mcp/<connector>` for one connector alone. */
  readonly mcp: McpHandler;
  /** The gateway stops: ends streams that would never end of themselves, so that calls under way can. */
  readonly drain: () => void;
  /** Everything of the authorization server: `/oauth/…` and its metadata. */
  readonly authorizationServer: Handler;
  /** For connectors' own authorization servers; undefined where no connector has one. */
  readonly connectorOauth?: ConnectorOauth | undefined;
  /** Pushed security events; undefined where nobody may push any. */
  readonly securityEvents?: SecurityEvents | undefined;
  /** Decisions for others; undefined where nobody may ask for any. */
  readonly authZen?: AuthZen | undefined;
  /** Undefined where there is one gateway alone. */
  readonly relay?: Relay | undefined;
  /** Why nothing should be sent here at the moment; undefined: it should. Told to anybody. */
  readonly unready: () => string | undefined;
  /** RFC 9728 document. */
  readonly protectedResource: () => object;
  readonly gateway: () => Gateway;
  /** Approvers' pages: `/approvals`, and below. */
  readonly approvals: Handler;
}

export interface HttpServer {
  readonly host: string;
  readonly port: number;
  /**
   * Sets who answers for the key set and the authorization server's metadata as long as nothing is served: a connector that is listed at the
   * start verifies by them what it is shown.
   */
  showKeys(handler: Handler, hosts: ReadonlySet<string>): void;
  /** Sets what is served; until then every other request is answered 503. */
  serve(routes: Routes, hosts: ReadonlySet<string>): Promise<void> | void;
  /**
   * Sets what every request is answered, with 503, as long as nothing is served; the question whether it lives with 200, as it does: whoever
   * restarts what does not would interrupt it.
   */
  refuse(reason: object): void;
  /**
   * It will be closed soon. What comes is served as before, and its connection ends with the answer: by then who keeps connections has none left
   * that a request could be sent on just as it is closed, of which nobody would know whether it was heard. Says that it is not ready.
   */
  retire(): void;
  /** Stops accepting, lets calls under way finish for a while, then closes what is left (fault 30). Idempotent. */
  close(): Promise<void>;
}

/**
 * Opens the one port of the gateway. It listens before the routes exist, because the port is part of the issuer's name.
 * @throws `ERR_ALREADY_RUNNING` when the port is taken, `ERR_CONFIG_INVALID` when it cannot be opened at all
 */
export async function openHttpServer(
  host: string,
  port: number,
  { clock, schedule }: { readonly clock: Clock; readonly schedule: Schedule },
  options: HttpServerOptions = {},
): Promise<HttpServer> {
  let routes: Routes | undefined;
  let keys: Handler | undefined;
  let refusal: object = { error: 'starting' };
  let isRefusing = false;
  let hosts: ReadonlySet<string> = new Set();
  let closing: Promise<void> | undefined;
  let isStopping = false;
  /** At a stop, a response that begins says that the connection ends with it. Kept nowhere: a list of those under way would hold whole calls. */
  class Response extends ServerResponse {
    override writeHead(status: number, reason?: string | HeadersToWrite, headers?: HeadersToWrite): this {
      if (isStopping) this.shouldKeepAlive = false;
      return super.writeHead(status, reason as string, headers);
    }
  }
  const server = createServer({ ServerResponse: Response }, (request, response) => {
    const served = routes ?? (keys !== undefined && asksForKeys(request) ? keys : undefined);
    if (served === undefined) return respond(response, isRefusing && isLiveness(request) ? 200 : 503, refusal);
    try {
      if (isStopping && isReadiness(request)) return answerReady(response, 'stopping');
      const serving = dispatch(served, hosts, request, response);
      if (serving !== undefined) serving.catch(() => failed(response));
    } catch {
      failed(response);
    }
  });
  const wire = readOnWire(server, clock, schedule, (request, response) => {
    if (routes === undefined) return false;
    try {
      if (!servesHere(routes, request)) return false;
      const serving = routes.mcp(request, response);
      if (serving !== undefined) serving.catch(() => failedWhole(response));
    } catch {
      failedWhole(response);
    }
    return true;
  });
  // Slow or half-open requests are cut off (guarantee I3). None of these ends a reply under way: streams may be silent for long.
  server.headersTimeout = 15_000;
  server.requestTimeout = 60_000;
  server.keepAliveTimeout = 30_000;
  server.maxConnections = options.maxConnections ?? MAX_CONNECTIONS;
  await new Promise<void>((resolve, reject) => {
    server.once('error', (cause: NodeJS.ErrnoException) => reject(listenFault(host, port, cause)));
    server.listen({ port, host, exclusive: options.isExclusive ?? false }, resolve);
  });
  return {
    host,
    port: (server.address() as AddressInfo).port,
    showKeys(handler, names) {
      keys = handler;
      hosts = names;
    },
    serve(served, names) {
      routes = served;
      hosts = names;
      wire.setHosts(names);
    },
    refuse(reason) {
      refusal = reason;
      isRefusing = true;
    },
    retire() {
      isStopping = true;
      wire.endEach();
    },
    close() {
      isStopping = true;
      closing ??= closeServer(server, wire, schedule, options.drainMs ?? DRAIN_MS, () => {
        routes?.drain();
      });
      return closing;
    },
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

const KEY_PATHS: ReadonlySet<string> = new Set([PATHS.jwks, PATHS.metadata, PATHS.openidMetadata]);

function asksForKeys({ method, url = '/' }: IncomingMessage): boolean {
  return (method === 'GET' || method === 'HEAD') && KEY_PATHS.has(pathOf(url));
}

const isLiveness = ({ url = '/' }: IncomingMessage): boolean => pathOf(url) === '/healthz';

const isReadiness = ({ url = '/' }: IncomingMessage): boolean => pathOf(url) === '/readyz';

function pathOf(url: string): string {
  const mark = url.indexOf('?');
  return mark === -1 ? url : url.slice(0, mark);
}

function failed(response: ServerResponse): void {
  if (!response.headersSent) respond(response, 500, { error: 'internal_error' });
  else response.destroy();
}

function failedWhole(response: HttpResponse): void {
  if (!response.headersSent) sendAnswer(response, { status: 500, body: '{"error":"internal_error"}' });
  else response.destroy();
}

/** @param routes one handler alone: what it is for has been looked at */
function dispatch(
  routes: Routes | Handler,
  hosts: ReadonlySet<string>,
  request: IncomingMessage,
  response: ServerResponse,
): Promise<void> | void {
  const problem = checkHeaders(request, hosts);
  if (problem !== undefined)
    return respond(response, problem.status, { error: 'invalid_request', error_description: problem.reason });
  if (typeof routes === 'function') return routes(request, response);
  const path = pathOf(request.url ?? '/');
  const relayed = routes.relay === undefined ? false : relay(routes.relay, path, request, response);
  if (relayed !== false) {
    return Promise.resolve(relayed).then((isAnswered) =>
      isAnswered ? undefined : route(routes, path, request, response),
    );
  }
  return route(routes, path, request, response);
}

/** Whether a whole request can be answered by this node alone: then no other has to be asked, and none has passed it on. */
function servesHere({ relay }: Routes, { headers }: WholeRequest): boolean {
  return relay === undefined || (headers[RELAYED] === undefined && relay.isHere(headers.authorization));
}

/** Whether it is about another node's task, and was answered by that one. */
function relay(
  { byToken, byDetails }: Relay,
  path: string,
  request: IncomingMessage,
  response: ServerResponse,
): boolean | Promise<boolean> {
  if (path === '/mcp' || path.startsWith('/mcp/') || path.startsWith('/task/')) return byToken(request, response);
  return path === PATHS.token ? byDetails(request, response) : false;
}

function route(routes: Routes, path: string, request: IncomingMessage, response: ServerResponse): Promise<void> | void {
  if (path === '/mcp' || path.startsWith('/mcp/')) return routes.mcp(request, response);
  if (PROTECTED_RESOURCE.test(path)) return respond(response, 200, routes.protectedResource());
  if (path === '/approvals' || path.startsWith('/approvals/')) {
    // By a clock that is wrong, a sign-in or an approval could be good beyond its end.
    const why = routes.unready();
    return why === undefined ? routes.approvals(request, response) : answerReady(response, why);
  }
  switch (path) {
    case '/task/end':
      return endTask(routes.gateway(), request, response);
    case '/task/prompt':
      return notePrompt(routes.gateway(), request, response);
    case CONNECTOR_OAUTH_PATHS.callback:
    case CONNECTOR_OAUTH_PATHS.document:
      if (routes.connectorOauth === undefined) return respond(response, 404, { error: 'not_found' });
      return serveConnectorOauth(routes.connectorOauth, request, response);
    case SECURITY_EVENTS_PATH:
      if (routes.securityEvents === undefined) return respond(response, 404, { error: 'not_found' });
      return serveSecurityEvents(routes.securityEvents, request, response);
    case AUTHZEN_PATHS.evaluation:
    case AUTHZEN_PATHS.evaluations:
    case AUTHZEN_PATHS.configuration:
      if (routes.authZen === undefined) return respond(response, 404, { error: 'not_found' });
      return serveAuthZen(routes.authZen, routes.gateway(), path, request, response);
    case '/healthz':
      return respond(response, 200, { status: 'serving' });
    case '/readyz':
      return answerReady(response, routes.unready());
    default:
      return routes.authorizationServer(request, response);
  }
}

/** For a balancer, which asks before it sends: nobody is authenticated, and nothing more is told. */
function answerReady(response: ServerResponse, why: string | undefined): void {
  if (why === undefined) respond(response, 200, { status: 'ready' });
  else respond(response, 503, { status: 'not_ready', why });
}

/** RFC 9728 §3.1: the well-known name, with the resource's path behind it. A connector's own path belongs to the same resource. */
const PROTECTED_RESOURCE = /^\/\.well-known\/oauth-protected-resource(?:\/mcp(?:\/[^/]+)?)?$/;

/** An agent ends its own task: the token says which. */
async function endTask(gateway: Gateway, request: IncomingMessage, response: ServerResponse): Promise<void> {
  request.resume();
  if (request.method !== 'POST') return respond(response, 405, { error: 'method_not_allowed' });
  const caller = await authenticate(gateway, request.headers.authorization);
  if (isRefused(caller)) {
    return refuseCaller(gateway, response, caller.refusal, 'task end');
  }
  await gateway.tasks.end(caller.task.id, 'completed');
  respond(response, 200, { task: caller.task.id, state: 'ended' });
}

async function closeServer(
  server: Server,
  wire: WireServer,
  schedule: Schedule,
  drainMs: number,
  drain: () => void,
): Promise<void> {
  const closed = new Promise((resolve) => server.close(resolve));
  wire.drain();
  drain();
  const cancel = schedule(drainMs, () => {
    server.closeAllConnections();
    wire.closeAll();
  });
  let cancelCheck = (): void => {};
  const closeIdle = (): void => {
    server.closeIdleConnections();
    wire.closeIdle();
    cancelCheck = schedule(IDLE_CHECK_MS, closeIdle);
  };
  closeIdle();
  await closed;
  cancelCheck();
  cancel();
}
