import { Pool } from 'undici';
import { RemitError } from '../../domain/errors.ts';
import type { Schedule } from '../../seams/clock.ts';
import type { OpenUpstream, Upstream, UpstreamOpener } from '../../seams/upstream.ts';
import { type ClientInfo, INITIALIZED, initializeParams, negotiatedVersion } from './handshake.ts';
import { HttpConnection } from './http-connection.ts';
import { connectionHeaders } from './http-headers.ts';
import { createRedactor } from './redaction.ts';
import { unreachable } from './upstream-faults.ts';

const DEFAULT_MAX_REPLY_BYTES = 16 * 1024 * 1024;
const DEFAULT_SOCKETS = 128;

export interface HttpOpenerOptions {
  readonly url: string;
  readonly clientInfo: ClientInfo;
  readonly schedule: Schedule;
  readonly maxReplyBytes?: number;
  /** Sockets to this connector, over all tasks; more calls wait. */
  readonly maxSockets?: number;
}

export interface HttpOpener extends UpstreamOpener {
  /** Ends every connection that it opened, and the sockets. Idempotent. */
  close(): Promise<void>;
}

/**
 * Opens sessions with a server over Streamable HTTP. Sockets are shared between sessions, sessions never (guarantee I1):
 * a socket carries no identity, each request on it does.
 * @throws `ERR_CONFIG_INVALID` for a URL with credentials in it
 */
export function createHttpOpener(options: HttpOpenerOptions): HttpOpener {
  const { clientInfo, schedule, maxReplyBytes = DEFAULT_MAX_REPLY_BYTES, maxSockets = DEFAULT_SOCKETS } = options;
  const url = parseUrl(options.url);
  // Each request has a deadline of its own; undici follows no redirect and retries no POST unless told to.
  const pool = new Pool(url.origin, { connections: maxSockets, pipelining: 1, headersTimeout: 0, bodyTimeout: 0 });
  const connections = new Set<HttpConnection>();
  let closing: Promise<void> | undefined;

  async function open({ connector, injection, timeoutMs, signal }: OpenUpstream): Promise<Upstream> {
    const where = `connectors.${connector}`;
    if (closing !== undefined) throw unreachable('The gateway is stopping', { where });
    const headers = connectionHeaders(injection, where);
    const hasCredential = Object.keys(injection.headers).length > 0;
    const path = `${url.pathname}${url.search}`;
    const connection = new HttpConnection({ pool, path, headers, hasCredential, schedule, maxReplyBytes, where });
    connections.add(connection);
    void connection.closed.then(() => connections.delete(connection));
    const callOff = (): void => void connection.close();
    signal?.addEventListener('abort', callOff, { once: true });
    if (signal?.aborted) callOff();
    try {
      const reply = await connection.request('initialize', initializeParams(clientInfo), { timeoutMs });
      connection.useVersion(negotiatedVersion(reply, where, createRedactor(injection).redact));
      await connection.notify(INITIALIZED, timeoutMs);
    } catch (error) {
      await connection.close();
      throw error;
    } finally {
      signal?.removeEventListener('abort', callOff);
    }
    return connection;
  }

  async function end(): Promise<void> {
    await Promise.all([...connections].map((connection) => connection.close()));
    await pool.destroy();
  }

  return {
    open,
    close() {
      closing ??= end();
      return closing;
    },
  };
}

function parseUrl(text: string): URL {
  const url = new URL(text);
  if (url.username === '' && url.password === '') return url;
  throw new RemitError('ERR_CONFIG_INVALID', 'A connector URL holds a user name or password', {
    hint: 'Take it out of the URL and let a credential be injected as a header.',
  });
}
