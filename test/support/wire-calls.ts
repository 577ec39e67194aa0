import { Pool } from 'undici';
import { guardedConnect } from '../../src/adapters/upstreams/guarded-connect.ts';
import { HttpExchange } from '../../src/adapters/upstreams/http-exchange.ts';
import { SHARED_READ } from '../../src/adapters/upstreams/wire/read-bytes.ts';
import { RequestHeads } from '../../src/adapters/upstreams/wire/request-heads.ts';
import { WirePool, type WirePoolOptions } from '../../src/adapters/upstreams/wire/wire-pool.ts';
import { schedule } from './fake-mcp-setup.ts';

const HEADERS = ['content-type', 'application/json', 'accept', 'application/json, text/event-stream'];
const LIMITS = { maxReplyBytes: 4_000, largeBytes: 2_000 };

/** What one exchange came to, as its sink heard it. */
export interface Outcome {
  status?: number;
  contentType?: string | undefined;
  body?: string;
  messages: string[];
  /** What came last. */
  end?: 'body' | 'stream' | string;
}

export interface WireCall {
  readonly exchange: HttpExchange;
  readonly outcome: Promise<Outcome>;
}

/** @param onBody what the sink does beside noting it */
export function createExchange(onBody?: () => void): WireCall {
  let exchange!: HttpExchange;
  const outcome = new Promise<Outcome>((resolve) => {
    const found: Outcome = { messages: [] };
    const end = (how: string): void => resolve(Object.assign(found, { end: how }));
    exchange = new HttpExchange(
      {
        onHeaders(status, headers) {
          found.status = status;
          found.contentType = headers()['content-type'];
        },
        onBody(_status, text) {
          found.body = text;
          end('body');
          onBody?.();
        },
        onMessage: (data) => void found.messages.push(data),
        onStreamEnd: () => end('stream'),
        onFault: (error) => end((error as NodeJS.ErrnoException).code ?? error.message),
      },
      LIMITS,
      'connectors.fake',
    );
  });
  return { exchange, outcome };
}

export function createWirePool(url: URL, more: Partial<WirePoolOptions> = {}): WirePool {
  const connect = guardedConnect({ hostname: url.hostname, allowPrivateNetwork: false, onread: SHARED_READ });
  return new WirePool({ url, connect, schedule, maxSockets: 8, largest: LIMITS.largeBytes, ...more });
}

export function send(pool: WirePool, body: string, call = createExchange()): WireCall {
  pool.dispatch(call.exchange, new RequestHeads(pool.host).headOf('/mcp', HEADERS, []) as string, body);
  return call;
}

/** The same by the library alone. */
export async function sendByLibrary(url: URL, body: string): Promise<Outcome> {
  const pool = new Pool(url.origin, { pipelining: 1, headersTimeout: 0, bodyTimeout: 0 });
  const { exchange, outcome } = createExchange();
  pool.dispatch({ method: 'POST', path: '/mcp', headers: HEADERS, body }, exchange);
  const found = await outcome;
  await pool.destroy();
  return found;
}
