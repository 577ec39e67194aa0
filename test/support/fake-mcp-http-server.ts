import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { behave, type FakeMessage, type FakeSession } from './fake-mcp-behaviour.mjs';

/** A Streamable HTTP server that misbehaves on request. */

export interface FakeHttpOptions {
  version?: string;
  /** Reply in event streams, or in plain bodies where one message is all there is to send. */
  replies?: 'stream' | 'body';
  /** Takes a request over from the server; true if it did. `message` is undefined unless it is a POST. */
  intercept?: (request: IncomingMessage, response: ServerResponse, message: FakeMessage | undefined) => boolean;
  /** Serves without session ids. */
  sessionless?: boolean;
}

export interface SeenRequest {
  readonly verb: string;
  readonly headers: IncomingMessage['headers'];
  readonly message: FakeMessage | undefined;
}

export interface FakeHttpServer {
  readonly url: string;
  readonly seen: SeenRequest[];
  readonly sessions: Map<string, FakeSession>;
  sockets(): number;
  close(): Promise<void>;
}

export async function startFakeHttpServer(options: FakeHttpOptions = {}): Promise<FakeHttpServer> {
  const { version = '2025-06-18', replies = 'body' } = options;
  const seen: SeenRequest[] = [];
  const sessions = new Map<string, FakeSession>();
  let sockets = 0;

  function newSession(request: IncomingMessage): FakeSession {
    const credential = request.headers['x-fake-key'] as string | undefined;
    return { received: [], credential, version, answers: new Map() };
  }

  function answer(session: FakeSession, message: FakeMessage, response: ServerResponse): void {
    if (message.id === undefined || message.method === undefined) {
      behave(message, session, () => {});
      response.writeHead(202).end();
      return;
    }
    const isPlain = replies === 'body' && message.method !== 'ask' && message.method !== 'foreign';
    if (!isPlain) {
      response.writeHead(200, { 'content-type': 'text/event-stream' });
      response.write(': hello\n\nid: 0\ndata:\n\n');
    }
    const send = (text: string): void => {
      if (isPlain) response.setHeader('content-type', 'application/json').end(text);
      else {
        const middle = Math.floor(text.length / 2);
        response.write(`event: message\r\nid: 1\ndata: ${text.slice(0, middle)}`);
        response.write(`${text.slice(middle)}\n\n`);
        if (text.includes(`"id":${message.id}`) && !text.includes('"method"')) response.end();
      }
    };
    behave(message, session, send);
  }

  const server = createServer((request, response) => {
    const chunks: Buffer[] = [];
    request.on('data', (chunk: Buffer) => chunks.push(chunk));
    request.on('end', () => {
      const text = Buffer.concat(chunks).toString();
      const message = text === '' ? undefined : (JSON.parse(text) as FakeMessage);
      seen.push({ verb: request.method ?? '', headers: request.headers, message });
      if (options.intercept?.(request, response, message)) return;
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
      if (session === undefined || message === undefined) response.writeHead(404).end('no such session');
      else answer(session, message, response);
    });
  });
  server.on('connection', () => {
    sockets += 1;
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/mcp?tenant=a`,
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
