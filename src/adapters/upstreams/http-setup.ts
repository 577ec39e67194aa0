import { Pool } from 'undici';
import { RemitError } from '../../domain/errors.ts';
import type { Schedule } from '../../seams/clock.ts';
import type { OpenUpstream, Upstream, UpstreamOpener } from '../../seams/upstream.ts';
import { Deadlines } from './deadlines.ts';
import { guardedConnect, type Lookup } from './guarded-connect.ts';
import type { ClientInfo } from './handshake.ts';
import type { HttpConnectionOptions } from './http-connection.ts';
import { connectionHeaders } from './http-headers.ts';
import { calledOff, unreachable } from './upstream-faults.ts';
import { SHARED_READ } from './wire/read-bytes.ts';
import { WirePool } from './wire/wire-pool.ts';

const DEFAULT_MAX_REPLY_BYTES = 16 * 1024 * 1024;
const DEFAULT_LARGE_BYTES = 256 * 1024;
const DEFAULT_MAX_STREAMED_BYTES = 256 * 1024 * 1024;
const DEFAULT_SOCKETS = 128;
const DEFAULT_STREAMS = 1_024;

export interface HttpOpenerOptions {
  readonly url: string;
  readonly clientInfo: ClientInfo;
  readonly schedule: Schedule;
  /** Era that the server is known to speak; `auto` asks it. */
  readonly protocol?: 'auto' | 'legacy' | 'modern';
  /** Largest reply that is held, in bytes. */
  readonly maxReplyBytes?: number;
  /** A plain reply above this is passed on as a stream, in bytes. */
  readonly largeBytes?: number;
  /** Largest reply that is passed on as a stream, in bytes. */
  readonly maxStreamedBytes?: number;
  /** Sockets for calls to this connector, over all tasks; more calls wait. As many again for other requests, and for calls that an event stream is expected of. */
  readonly maxSockets?: number;
  /** Sockets for streams that stay open, over all tasks. */
  readonly maxStreams?: number;
  /** Whether the server may be at an address of a private network. */
  readonly allowPrivateNetwork?: boolean;
  readonly lookup?: Lookup;
  /** The server answered 401 or 403 with a `WWW-Authenticate` header. */
  readonly onChallenge?: (status: number, header: string) => void;
  /** From 0 up to 1, for jitter. */
  readonly chance?: () => number;
}

export interface HttpOpener extends UpstreamOpener {
  /** Ends every connection that it opened, and the sockets. Idempotent. */
  close(): Promise<void>;
}

/** What the connections of one opener share. */
export interface HttpSetup {
  readonly url: URL;
  /** @throws `ERR_CREDENTIAL_ISSUE` where an injected header cannot be sent */
  connectionOptions(request: OpenUpstream): HttpConnectionOptions;
  /** Runs the opening of a connection, which is closed where that fails or is called off. */
  openWithin<T extends Upstream>(request: OpenUpstream, connection: T, opening: () => Promise<unknown>): Promise<T>;
  readonly close: () => Promise<void>;
}

/**
 * Sockets are shared between sessions, sessions never (guarantee I1): a socket carries no identity, each request on it does.
 * @throws `ERR_CONFIG_INVALID` for a URL with credentials in it
 */
export function createHttpSetup(options: HttpOpenerOptions): HttpSetup {
  const url = parseUrl(options.url);
  const guard = {
    hostname: url.hostname,
    allowPrivateNetwork: options.allowPrivateNetwork ?? false,
    lookup: options.lookup,
  };
  const connect = guardedConnect(guard);
  // Each request has a deadline of its own; undici follows no redirect and retries no POST unless told to.
  const common = { connect, pipelining: 1, headersTimeout: 0, bodyTimeout: 0 };
  const pool = new Pool(url.origin, { ...common, connections: options.maxSockets ?? DEFAULT_SOCKETS });
  const streamPool = new Pool(url.origin, { ...common, connections: options.maxStreams ?? DEFAULT_STREAMS });
  const limits = {
    maxReplyBytes: options.maxReplyBytes ?? DEFAULT_MAX_REPLY_BYTES,
    largeBytes: options.largeBytes ?? DEFAULT_LARGE_BYTES,
  };
  const wire = new WirePool({
    url,
    connect: guardedConnect({ ...guard, onread: SHARED_READ }),
    schedule: options.schedule,
    maxSockets: options.maxSockets ?? DEFAULT_SOCKETS,
    largest: Math.min(limits.largeBytes, limits.maxReplyBytes),
  });
  const deadlines = new Deadlines(options.schedule);
  const connections = new Set<Upstream>();
  let closing: Promise<void> | undefined;

  async function end(): Promise<void> {
    await Promise.all([...connections].map((connection) => connection.close()));
    deadlines.close();
    wire.close();
    await Promise.all([pool.destroy(), streamPool.destroy()]);
  }

  return {
    url,

    connectionOptions({ connector, injection, events }) {
      const where = `connectors.${connector}`;
      if (closing !== undefined) throw unreachable('The gateway is stopping', { where });
      return {
        pool,
        wire,
        streamPool,
        path: `${url.pathname}${url.search}`,
        headers: connectionHeaders(injection, where),
        hasCredential: Object.keys(injection.headers).length > 0,
        schedule: options.schedule,
        deadlines,
        chance: options.chance ?? Math.random,
        limits,
        maxStreamedBytes: options.maxStreamedBytes ?? DEFAULT_MAX_STREAMED_BYTES,
        events,
        onChallenge: options.onChallenge,
        where,
      };
    },

    async openWithin({ cancellation, connector }, connection, opening) {
      if (cancellation?.isCancelled) throw calledOff(cancellation.reason, { where: `connectors.${connector}` });
      connections.add(connection);
      void connection.closed.then(() => connections.delete(connection));
      const callOff = (): void => void connection.close();
      cancellation?.onCancel(callOff);
      try {
        await opening();
      } catch (error) {
        await connection.close();
        throw error;
      } finally {
        cancellation?.offCancel(callOff);
      }
      return connection;
    },

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
