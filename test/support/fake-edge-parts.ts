/** fake-edge-parts: the MCP endpoint behind a real `node:http` server, over a gateway whose every part a test can see. Listed in docs/fakes.md. */
import { once } from 'node:events';
import { createServer, request as httpRequest, type IncomingMessage, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { RecordEntry } from '../../src/audit/recorder.ts';
import { connectorId, type TaskId } from '../../src/domain/ids.ts';
import type { JsonObject } from '../../src/domain/json.ts';
import { refuse } from '../../src/domain/refusal.ts';
import type { Task } from '../../src/domain/task.ts';
import type { GovernedTool } from '../../src/domain/tool.ts';
import type { ClientRequest, MethodAnswer } from '../../src/gateway/client-request.ts';
import { checkHeaders } from '../../src/gateway/edge/check-headers.ts';
import type { EraEdge, Exchange } from '../../src/gateway/edge/exchange.ts';
import { createMcpEndpoint } from '../../src/gateway/edge/mcp-endpoint.ts';
import { createModernEdge } from '../../src/gateway/edge/modern/modern-edge.ts';
import type { ModernParts } from '../../src/gateway/edge/modern/modern-parts.ts';
import { sendAnswer } from '../../src/gateway/edge/send-answer.ts';
import type { Sink } from '../../src/gateway/events/hub.ts';
import type { Gateway } from '../../src/gateway/gateway.ts';
import type { Caller } from '../../src/gateway/stages/authenticate.ts';
import { makePrincipal, makeTask, makeTool, NOW } from './fake-gateway-parts.ts';
import { type NotedEntry, noteEntry } from './noted-entry.ts';

export interface EdgeOptions {
  readonly tools?: readonly GovernedTool[];
  /** What the method does; by default it answers `{"resultType":"complete"}`. */
  readonly handle?: (request: ClientRequest, caller: Caller) => Promise<MethodAnswer> | MethodAnswer;
  readonly capabilities?: JsonObject;
  /** Replaces the durable write. */
  readonly record?: (entry: NotedEntry) => Promise<void>;
  readonly maxBodyBytes?: number;
}

export interface Answered {
  readonly status: number;
  readonly headers: IncomingMessage['headers'];
  readonly text: string;
  // biome-ignore lint/suspicious/noExplicitAny: tests look into it freely
  readonly body: any;
}

export interface FakeEdge {
  readonly port: number;
  readonly modern: EraEdge;
  readonly records: NotedEntry[];
  readonly refusals: JsonObject[];
  /** What the log says is wrong. */
  readonly errors: string[];
  /** Requests that reached the methods. */
  readonly handled: ClientRequest[];
  /** Exchanges that went to the legacy edge: method of HTTP, scope and body. */
  readonly legacy: { verb: string | undefined; scope: string | undefined; body: unknown }[];
  readonly sinks: Set<Sink>;
  /** What waits for its time; a test lets it come. */
  readonly timers: Set<{ readonly ms: number; readonly task: () => void }>;
  readonly tasks: Map<TaskId, Task>;
  /** Raw: headers as a flat list, so that one can be given twice. Host, Authorization, Content-Type and Accept unless given. */
  send(body: string | undefined, options?: SendOptions): Promise<Answered>;
  /** As `send`, when the answer's head is there. */
  open(body: string, options?: SendOptions): Promise<IncomingMessage>;
  close(): Promise<void>;
}

export interface SendOptions {
  readonly verb?: string;
  readonly path?: string;
  readonly headers?: readonly string[];
  readonly without?: readonly string[];
}

export async function startEdge(options: EdgeOptions = {}): Promise<FakeEdge> {
  const tasks = new Map(['tsk_a', 'tsk_b'].map((id) => [id as TaskId, makeTask(id)]));
  const tools = options.tools ?? [makeTool('orders')];
  const records: NotedEntry[] = [];
  const refusals: JsonObject[] = [];
  const errors: string[] = [];
  const handled: ClientRequest[] = [];
  const legacy: FakeEdge['legacy'] = [];
  const sinks = new Set<Sink>();
  const timers: FakeEdge['timers'] = new Set();
  const gateway = {
    tenant: makeTask('tsk_a').tenant,
    authenticator: {
      authenticate: (authorization: string | undefined) => {
        if (authorization === undefined) {
          return refuse({ kind: 'unauthenticated', error: 'missing_token', reason: 'no token' });
        }
        const task = tasks.get(authorization.replace('Bearer ', '') as TaskId);
        return task === undefined
          ? refuse({ kind: 'unauthenticated', error: 'invalid_token', reason: 'bad token' })
          : makePrincipal(task);
      },
    },
    isRegistered: () => true,
    tasks: { get: (id: TaskId) => tasks.get(id), barred: () => undefined, confirm: async () => false },
    catalogue: {
      find: (_: string, name: string, scope: string | undefined) =>
        tools.find((tool) =>
          scope === undefined ? tool.exposedName === name : tool.connector === scope && tool.name === name,
        ),
      tools: () => tools,
    },
    recorder: {
      record: async (entry: RecordEntry) => {
        await options.record?.(noteEntry(entry));
        records.push(noteEntry(entry));
      },
    },
    recordRefusal: (detail: JsonObject) => refusals.push(detail),
    rounds: {
      answer: (_: Caller, request: ClientRequest, start: (r: ClientRequest) => Promise<MethodAnswer>) => start(request),
    },
    hub: {
      add(sink: Sink) {
        sinks.add(sink);
        return () => sinks.delete(sink);
      },
    },
    connectors: [connectorId('shop'), connectorId('docs')],
    clock: () => NOW,
    schedule(ms: number, task: () => void) {
      const timer = { ms, task };
      timers.add(timer);
      return () => timers.delete(timer);
    },
    newSpan: () => '0'.repeat(16),
    log: { debug() {}, info() {}, warn() {}, error: (_: object, message: string) => errors.push(message) },
  } as unknown as Gateway;

  const challenge = (error: string, reason: string): string => `Bearer error="${error}", error_description="${reason}"`;
  const parts: ModernParts = {
    gateway,
    challenge,
    version: '1.2.3',
    heartbeatMs: 15_000,
    offer: () => ({
      capabilities: options.capabilities ?? { tools: { listChanged: true } },
      instructions: 'read this',
    }),
    handleMethod: async (_, caller, request) => {
      handled.push(request);
      return (await options.handle?.(request, caller)) ?? complete();
    },
  };
  const modern = createModernEdge(parts);
  const noteLegacy = ({ request, response, scope, body }: Exchange): void => {
    legacy.push({ verb: request.method, scope, body });
    sendAnswer(response, { status: 200, body: '{"era":"legacy"}' });
  };
  const endpoint = createMcpEndpoint({
    gateway,
    challenge,
    maxBodyBytes: options.maxBodyBytes ?? 100_000,
    modern,
    legacy: {
      post: async (exchange) => noteLegacy(exchange),
      get: noteLegacy,
      delete: noteLegacy,
      endTask() {},
      closeStreams() {},
      drain() {},
    },
  });
  const server: Server = createServer((request, response) => {
    const problem = checkHeaders(request, new Set([`127.0.0.1:${(server.address() as AddressInfo).port}`]));
    if (problem === undefined) return void endpoint(request, response);
    response.writeHead(problem.status);
    response.end(problem.reason);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;

  function open(body: string | undefined, send: SendOptions = {}): Promise<IncomingMessage> {
    const given = send.headers ?? [];
    const names = new Set(
      [...given.filter((_, at) => at % 2 === 0), ...(send.without ?? [])].map((n) => n.toLowerCase()),
    );
    const usual = [
      ['Host', `127.0.0.1:${port}`],
      ['Authorization', 'Bearer tsk_a'],
      ['Content-Type', 'application/json'],
      ['Accept', 'application/json, text/event-stream'],
      ...(body === undefined ? [] : [['Content-Length', String(Buffer.byteLength(body))]]),
    ].filter(([name]) => !names.has((name as string).toLowerCase()));
    return new Promise((resolve, reject) => {
      const call = httpRequest(
        {
          host: '127.0.0.1',
          port,
          agent: false,
          method: send.verb ?? 'POST',
          path: send.path ?? '/mcp',
          headers: [...usual.flat(), ...given] as string[],
        },
        resolve,
      );
      call.on('error', reject);
      call.end(body);
    });
  }

  return {
    port,
    modern,
    records,
    refusals,
    errors,
    handled,
    legacy,
    sinks,
    timers,
    tasks,
    open,
    async send(body, send) {
      const response = await open(body, send);
      let text = '';
      for await (const chunk of response.setEncoding('utf8')) text += chunk;
      let parsed: unknown;
      try {
        parsed = JSON.parse(text);
      } catch {
        // A stream, or nothing at all.
      }
      return { status: response.statusCode ?? 0, headers: response.headers, text, body: parsed };
    },
    async close() {
      server.close();
      server.closeAllConnections();
      await once(server, 'close');
    },
  };
}

export function complete(result: JsonObject = {}): MethodAnswer {
  const whole = { resultType: 'complete', ...result };
  return { reply: { result: whole, resultText: JSON.stringify(whole) } };
}

const VERSION = '2026-07-28';

/** A modern request's body. */
export function modernBody(method: string, params: JsonObject = {}, meta: JsonObject = {}, id: unknown = 1): string {
  const _meta = {
    'io.modelcontextprotocol/protocolVersion': VERSION,
    'io.modelcontextprotocol/clientCapabilities': {},
    ...meta,
  };
  return JSON.stringify({ jsonrpc: '2.0', id, method, params: { ...params, _meta } });
}

/** The headers that go with it. */
export function modernHeaders(method: string, ...more: string[]): string[] {
  return ['MCP-Protocol-Version', VERSION, 'Mcp-Method', method, ...more];
}
