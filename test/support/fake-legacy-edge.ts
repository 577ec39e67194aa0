/** fake-legacy-edge: the real HTTP server, endpoint and legacy edge over methods that a test writes; and a raw client. Listed in docs/fakes.md. */
import { type ClientRequest as HttpRequest, request as httpRequest, type IncomingMessage } from 'node:http';
import type { TaskId } from '../../src/domain/ids.ts';
import type { JsonObject } from '../../src/domain/json.ts';
import type { Principal } from '../../src/domain/principal.ts';
import { refuse } from '../../src/domain/refusal.ts';
import type { Task } from '../../src/domain/task.ts';
import type { ClientRequest, MethodAnswer, Question } from '../../src/gateway/client-request.ts';
import type { EraEdge } from '../../src/gateway/edge/exchange.ts';
import { createLegacyEdge, type LegacyEdge } from '../../src/gateway/edge/legacy/legacy-edge.ts';
import type { LegacyParts } from '../../src/gateway/edge/legacy/legacy-parts.ts';
import { createMcpEndpoint } from '../../src/gateway/edge/mcp-endpoint.ts';
import { sendAnswer } from '../../src/gateway/edge/send-answer.ts';
import type { Sink } from '../../src/gateway/events/hub.ts';
import type { Gateway } from '../../src/gateway/gateway.ts';
import type { Caller } from '../../src/gateway/stages/authenticate.ts';
import { type HttpServer, type HttpServerOptions, openHttpServer } from '../../src/http/server.ts';
import type { Schedule } from '../../src/seams/clock.ts';
import { CONNECTOR, makePrincipal, makeTask } from './fake-gateway-parts.ts';
import { createFakeTime, type FakeTime } from './fake-lease-time.ts';

export interface LegacyOptions {
  readonly tasks?: readonly Task[];
  readonly handle?: (request: ClientRequest, caller: Caller) => Promise<MethodAnswer> | MethodAnswer;
  readonly limits?: LegacyParts['limits'];
  readonly server?: HttpServerOptions;
  /** Timers of the HTTP server itself; by default the test's. */
  readonly schedule?: Schedule;
  readonly onRootsChanged?: LegacyParts['onRootsChanged'];
  readonly unready?: () => string | undefined;
}

export interface Answered {
  readonly status: number;
  readonly headers: IncomingMessage['headers'];
  readonly text: string;
  // biome-ignore lint/suspicious/noExplicitAny: tests look into it freely
  readonly body: any;
}

export interface Ask {
  readonly verb?: string;
  readonly path?: string;
  /** Token: the task's id, and after spaces the subject and the time at which it ends. */
  readonly token?: string;
  readonly session?: string | undefined;
  readonly headers?: Readonly<Record<string, string>>;
}

/** A request on its way. */
export interface Begun {
  readonly call: HttpRequest;
  /** Rejects when there is no answer. */
  readonly events: Promise<Events>;
}

export interface FakeLegacy {
  readonly port: number;
  readonly time: FakeTime;
  readonly edge: LegacyEdge;
  readonly server: HttpServer;
  readonly sinks: Set<Sink>;
  /** Tasks that the hub was told of a change for. */
  readonly changed: TaskId[];
  readonly refusals: JsonObject[];
  readonly tasks: Map<TaskId, Task>;
  readonly handled: ClientRequest[];
  /** What initialize offers; a test may replace it. */
  offer: LegacyParts['offer'];
  send(body: unknown, ask?: Ask): Promise<Answered>;
  begin(body: unknown, ask?: Ask): Begun;
  /** Resolves when the head is there. */
  stream(body: unknown, ask?: Ask): Promise<Events>;
  /** Initialises and returns the session's id. */
  session(ask?: Ask & { readonly version?: string; readonly capabilities?: JsonObject }): Promise<string>;
  close(): Promise<void>;
}

export const rpc = (method: string, params: JsonObject = {}, id: string | number | undefined = 1): JsonObject => ({
  jsonrpc: '2.0',
  ...(id !== undefined && { id }),
  method,
  params,
});
export const note = (method: string, params: JsonObject = {}): JsonObject => ({ jsonrpc: '2.0', method, params });
export const result = (value: JsonObject = {}): MethodAnswer => ({
  reply: { result: value, resultText: JSON.stringify(value) },
});

export const question = (method: Question['method'] = 'elicitation/create', params: JsonObject = {}): Question => ({
  connector: CONNECTOR,
  method,
  params,
  confirm: async () => true,
});

export interface Event {
  readonly id?: string;
  readonly retry?: string;
  readonly data?: string;
  readonly isComment?: boolean;
}

/** Server-sent events of a response, one after the other. */
export class Events {
  readonly response: IncomingMessage;
  readonly call: HttpRequest;
  #text = '';
  #isOver = false;
  #wake = (): void => {};

  constructor(response: IncomingMessage, call: HttpRequest) {
    this.response = response;
    this.call = call;
    response.setEncoding('utf8').on('data', (chunk: string) => {
      this.#text += chunk;
      this.#wake();
    });
    const over = (): void => {
      this.#isOver = true;
      this.#wake();
    };
    response.on('error', over).on('close', over);
  }

  /** The next event, or undefined when the stream is over. */
  async next(): Promise<Event | undefined> {
    for (;;) {
      const end = this.#text.indexOf('\n\n');
      if (end !== -1) {
        const text = this.#text.slice(0, end);
        this.#text = this.#text.slice(end + 2);
        return readEvent(text);
      }
      if (this.#isOver) return undefined;
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    }
  }

  /** The next event that is a message. */
  async message(): Promise<(JsonObject & { readonly event: string | undefined }) | undefined> {
    for (;;) {
      const event = await this.next();
      if (event === undefined) return undefined;
      if (event.data) return { ...(JSON.parse(event.data) as JsonObject), event: event.id };
    }
  }

  /** All that is not read yet, when the response is over. */
  async whole(): Promise<string> {
    while (!this.#isOver) {
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    }
    return this.#text;
  }

  /** Breaks the connection off, and waits until it is gone on this side. */
  async drop(): Promise<void> {
    this.call.destroy();
    await this.whole();
  }

  /** Everything that is not read yet, when the stream is over. */
  async rest(): Promise<Event[]> {
    const events: Event[] = [];
    for (let event = await this.next(); event !== undefined; event = await this.next()) events.push(event);
    return events;
  }
}

function readEvent(text: string): Event {
  const event: Record<string, string | boolean> = {};
  for (const line of text.split('\n')) {
    const [name, value] = [line.slice(0, line.indexOf(':')), line.slice(line.indexOf(':') + 1).trimStart()];
    if (name === '') event.isComment = true;
    else event[name] = value;
  }
  return event;
}

export async function startLegacy(options: LegacyOptions = {}): Promise<FakeLegacy> {
  const time = createFakeTime();
  const tasks = new Map((options.tasks ?? [makeTask('tsk_a'), makeTask('tsk_b')]).map((task) => [task.id, task]));
  const sinks = new Set<Sink>();
  const changed: TaskId[] = [];
  const refusals: JsonObject[] = [];
  const handled: ClientRequest[] = [];
  const gateway = {
    tenant: makeTask('tsk_a').tenant,
    authenticator: { authenticate: (header: string | undefined) => principalOf(header, tasks) },
    isRegistered: () => true,
    tasks: { get: (id: TaskId) => tasks.get(id), barred: () => undefined, confirm: async () => false },
    recordRefusal: (detail: JsonObject) => refusals.push(detail),
    hub: {
      add(sink: Sink) {
        sinks.add(sink);
        return () => sinks.delete(sink);
      },
      changed: (task: TaskId) => changed.push(task),
    },
    connectors: [CONNECTOR],
    clock: time.clock,
    schedule: time.schedule,
    log: { debug() {}, info() {}, warn() {}, error() {} },
  } as unknown as Gateway;
  const challenge = (): string => 'Bearer';
  let drawn = 0;
  const edge = createLegacyEdge({
    gateway,
    challenge,
    version: '1.2.3',
    random: (size) => {
      drawn += 1;
      return Uint8Array.from({ length: size }, (_, at) => (drawn >> (8 * (at % 4))) & 255);
    },
    offer: (...of) => legacy.offer(...of),
    handleMethod: async (_, caller, request) => {
      handled.push(request);
      return (await options.handle?.(request, caller)) ?? result();
    },
    ...(options.limits && { limits: options.limits }),
    ...(options.onRootsChanged && { onRootsChanged: options.onRootsChanged }),
  });
  const modern: EraEdge = {
    post: async ({ response }) => sendAnswer(response, { status: 418, body: '{}' }),
    get: ({ response }) => sendAnswer(response, { status: 418, body: '{}' }),
    delete: ({ response }) => sendAnswer(response, { status: 418, body: '{}' }),
    endTask() {},
    closeStreams() {},
    drain() {},
  };
  const timers = { clock: time.clock, schedule: options.schedule ?? time.schedule };
  const server = await openHttpServer('127.0.0.1', 0, timers, options.server);
  const { port } = server;
  await server.serve(
    {
      mcp: createMcpEndpoint({ gateway, challenge, maxBodyBytes: 1_000_000, legacy: edge, modern }),
      approvals: (_, response) => void response.writeHead(404).end(),
      drain: () => edge.drain(),
      authorizationServer: (_, response) => sendAnswer(response, { status: 404, body: '{}' }),
      unready: () => options.unready?.(),
      protectedResource: () => ({ resource: `http://127.0.0.1:${port}/mcp` }),
      gateway: () => gateway,
    },
    new Set([`127.0.0.1:${port}`]),
  );

  function begin(body: unknown, ask: Ask = {}): Begun {
    const text = body === undefined ? undefined : typeof body === 'string' ? body : JSON.stringify(body);
    const call = httpRequest({
      host: '127.0.0.1',
      port,
      agent: false,
      method: ask.verb ?? (body === undefined ? 'GET' : 'POST'),
      path: ask.path ?? '/mcp',
      headers: {
        Authorization: `Bearer ${ask.token ?? 'tsk_a'}`,
        Accept: body === undefined ? 'text/event-stream' : 'application/json, text/event-stream',
        ...(text !== undefined && { 'Content-Type': 'application/json', 'Content-Length': Buffer.byteLength(text) }),
        ...(ask.session !== undefined && { 'Mcp-Session-Id': ask.session }),
        ...ask.headers,
      },
    });
    const events = new Promise<Events>((resolve, reject) => {
      call.on('response', (response) => resolve(new Events(response, call)));
      call.on('error', reject);
    });
    // Whoever waits for it hears of it; a test that no longer does is not the worse for it.
    events.catch(() => {});
    call.end(text);
    return { call, events };
  }
  const open = (body: unknown, ask?: Ask): Promise<Events> => begin(body, ask).events;

  const legacy: FakeLegacy = {
    port,
    time,
    edge,
    server,
    sinks,
    changed,
    refusals,
    tasks,
    handled,
    offer: () => ({ capabilities: { tools: { listChanged: true } }, instructions: 'read this' }),
    begin,
    stream: open,
    async send(body, ask) {
      const events = await open(body, ask);
      const { response } = events;
      const text = await events.whole();
      let parsed: unknown;
      try {
        parsed = JSON.parse(text);
      } catch {
        // Empty, or a stream.
      }
      return { status: response.statusCode ?? 0, headers: response.headers, text, body: parsed };
    },
    async session({ version = '2025-11-25', capabilities = {}, ...ask } = {}) {
      const params = { protocolVersion: version, capabilities, clientInfo: { name: 'test', version: '1' } };
      const answer = await legacy.send(rpc('initialize', params, 0), ask);
      const id = answer.headers['mcp-session-id'];
      if (typeof id !== 'string') throw new Error(`no session: ${answer.status} ${answer.text}`);
      await legacy.send(note('notifications/initialized'), { ...ask, session: id });
      return id;
    },
    async close() {
      const closed = server.close();
      await time.advance(60_000);
      await closed;
    },
  };
  return legacy;
}

function principalOf(header: string | undefined, tasks: ReadonlyMap<TaskId, Task>) {
  const [id = '', subject, until] = (header ?? '').replace('Bearer ', '').split(' ');
  const task = tasks.get(id as TaskId);
  if (task === undefined) return refuse({ kind: 'unauthenticated', error: 'invalid_token', reason: 'bad token' });
  const principal: Principal = {
    ...makePrincipal(task),
    user: subject ? { issuer: 'https://idp.example', subject, groups: [] } : undefined,
    tokenId: `${Math.random()}`,
    tokenExpiresAt: until === undefined ? Number.MAX_SAFE_INTEGER : Number(until),
  };
  return principal;
}
