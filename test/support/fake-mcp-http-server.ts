import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { behave, type FakeMessage, type FakeSession } from './fake-mcp-behaviour.mjs';

/** A server over HTTP that misbehaves on request: Streamable HTTP of either era, or HTTP+SSE (2024-11-05). */

export interface FakeHttpOptions {
  version?: string;
  /** Reply in event streams, or in plain bodies where one message is all there is to send. */
  replies?: 'stream' | 'body';
  /** Takes a request over from the server; true if it did. `message` is undefined unless it is a POST. */
  intercept?: (request: IncomingMessage, response: ServerResponse, message: FakeMessage | undefined) => boolean;
  /** Serves without session ids. */
  sessionless?: boolean;
  /** HTTP+SSE instead of Streamable HTTP. */
  isSse?: boolean;
  /** Says this as its endpoint, instead of its own. */
  endpoint?: string;
}

export interface SeenRequest {
  readonly verb: string;
  readonly headers: IncomingMessage['headers'];
  readonly message: FakeMessage | undefined;
}

export interface FakeHttpServer {
  readonly url: string;
  readonly port: number;
  readonly seen: SeenRequest[];
  readonly sessions: Map<string, FakeSession>;
  sockets(): number;
  close(): Promise<void>;
}

/** Methods that say more than their reply. */
const TALKATIVE = new Set(['ask', 'foreign', 'announce', 'elicit', 'subscriptions/listen']);
const STREAM = { 'content-type': 'text/event-stream' };

export async function startFakeHttpServer(options: FakeHttpOptions = {}): Promise<FakeHttpServer> {
  const { version = '2025-06-18', replies = 'body' } = options;
  const seen: SeenRequest[] = [];
  const sessions = new Map<string, FakeSession>();
  let sockets = 0;

  function newSession(request: IncomingMessage): FakeSession {
    const credential = request.headers['x-fake-key'] as string | undefined;
    return { received: [], credential, version, answers: new Map(), outside: () => {} };
  }

  /** One event, in two writes. */
  function sendEvent(response: ServerResponse, text: string): void {
    const bytes = Buffer.from(`event: message\r\ndata: ${text}\n\n`);
    response.write(bytes.subarray(0, bytes.length >> 1));
    response.write(bytes.subarray(bytes.length >> 1));
  }

  function answer(session: FakeSession, message: FakeMessage, response: ServerResponse): void {
    if (message.id === undefined || message.method === undefined) {
      behave(message, session, () => {});
      response.writeHead(202).end();
      return;
    }
    const isPlain = replies === 'body' && !TALKATIVE.has(message.method);
    response.on('close', () => {
      if (!response.writableFinished) session.received.push({ method: 'stream closed', id: message.id });
    });
    if (!isPlain) {
      response.writeHead(200, STREAM);
      response.write(': hello\n\ndata:\n\n');
    }
    const send = (text: string): void => {
      if (isPlain) response.setHeader('content-type', 'application/json').end(text);
      else {
        sendEvent(response, text);
        if (text.includes(`"id":${message.id}`) && !text.includes('"method"')) response.end();
      }
    };
    behave(message, session, send);
  }

  function listen(session: FakeSession, response: ServerResponse): void {
    response.writeHead(200, STREAM).write(': listening\n\n');
    session.outside = (text) => sendEvent(response, text);
    response.on('close', () => {
      session.outside = () => {};
    });
  }

  function serveSse(request: IncomingMessage, response: ServerResponse, message: FakeMessage | undefined): void {
    const name = new URL(request.url ?? '/', 'http://x').searchParams.get('session');
    if (request.method === 'GET') {
      const own = `sse-${sessions.size + 1}`;
      const session = newSession(request);
      sessions.set(own, session);
      listen(session, response);
      response.write(`event: endpoint\ndata: ${options.endpoint ?? `/post?session=${own}`}\n\n`);
      return;
    }
    const session = sessions.get(name ?? '');
    if (session === undefined || message === undefined) response.writeHead(404).end();
    else {
      response.writeHead(202).end('Accepted');
      behave(message, session, (text) => session.outside?.(text));
    }
  }

  function serveModern(request: IncomingMessage, response: ServerResponse, message: FakeMessage): void {
    const name = `modern ${request.headers['x-fake-key']}`;
    const session = sessions.get(name) ?? newSession(request);
    sessions.set(name, session);
    if (request.headers['mcp-method'] === message.method) answer(session, message, response);
    else {
      const error = { code: -32020, message: 'headers and body disagree' };
      response.writeHead(400).end(JSON.stringify({ jsonrpc: '2.0', id: message.id ?? null, error }));
    }
  }

  const server = createServer((request, response) => {
    const chunks: Buffer[] = [];
    request.on('data', (chunk: Buffer) => chunks.push(chunk));
    request.on('end', () => {
      const text = Buffer.concat(chunks).toString();
      const message = text === '' ? undefined : (JSON.parse(text) as FakeMessage);
      seen.push({ verb: request.method ?? '', headers: request.headers, message });
      if (options.intercept?.(request, response, message)) return;
      if (options.isSse) {
        serveSse(request, response, message);
        return;
      }
      const isModern = request.headers['mcp-protocol-version'] === '2026-07-28';
      if (isModern && message !== undefined && (version === 'modern' || version === 'dual' || version === 'refuse')) {
        serveModern(request, response, message);
        return;
      }
      const id = options.sessionless ? 'only' : (request.headers['mcp-session-id'] as string | undefined);
      if (request.method === 'DELETE') {
        sessions.delete(id ?? '');
        response.writeHead(204).end();
        return;
      }
      if (message?.method === 'initialize') {
        const session = newSession(request);
        const name = options.sessionless ? 'only' : `session-${sessions.size + 1}-${seen.length}`;
        sessions.set(name, session);
        if (!options.sessionless) response.setHeader('mcp-session-id', name);
        answer(session, message, response);
        return;
      }
      const session = id === undefined ? undefined : sessions.get(id);
      if (session === undefined) response.writeHead(404).end('no such session');
      else if (request.method === 'GET') listen(session, response);
      else if (message === undefined) response.writeHead(405).end();
      else answer(session, message, response);
    });
  });
  server.on('connection', () => {
    sockets += 1;
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  return {
    url: `http://127.0.0.1:${port}/mcp?tenant=a`,
    port,
    seen,
    sessions,
    sockets: () => sockets,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}
