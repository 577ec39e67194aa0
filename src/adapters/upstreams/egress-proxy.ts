import { createServer, request as httpRequest, type IncomingMessage, type ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import type { RemitError } from '../../domain/errors.ts';
import type { Log } from '../../seams/clock.ts';
import { type Destination, type EgressList, egressMatcher, plainHost } from './egress-list.ts';
import { guardedSocket } from './guarded-connect.ts';
import { unreachable } from './upstream-faults.ts';

export interface EgressProxy {
  /** Ends every connection that goes through it. Idempotent. */
  close(): Promise<void>;
}

const MOST_CONNECTIONS = 128;
/** Bytes of `sockaddr_un` less the zero at its end (unix(7)); libuv cuts off what is longer, and says nothing. */
const LONGEST_PATH = 107;
const HEADER_TIMEOUT_MS = 10_000;
/** Of one hop only, never sent on (RFC 9110 §7.6.1). */
const HOP_HEADERS = /^(connection|proxy-.*|keep-alive|te|trailer|transfer-encoding|upgrade)$/i;

/**
 * The one way out of a sandbox without a network: an HTTP proxy on a UNIX socket that is put into it, which connects to what is on the list and
 * answers 403 to all else. `CONNECT` (RFC 9110 §9.3.6) for what is encrypted, which is passed on unread; whole URLs for plain http. Names are
 * resolved here and each address is checked at its connect, so a name on the list does not lead into the host (A30, A36).
 */
export async function openEgressProxy(path: string, list: EgressList, log?: Log): Promise<EgressProxy> {
  const isAllowed = egressMatcher(list);
  const sockets = new Set<Duplex>();
  const server = createServer({ headersTimeout: HEADER_TIMEOUT_MS, requestTimeout: 0 });
  server.maxConnections = MOST_CONNECTIONS;

  const kept = <T extends Duplex>(socket: T): T => {
    sockets.add(socket);
    socket.once('close', () => sockets.delete(socket));
    socket.on('error', () => socket.destroy());
    return socket;
  };

  /** @throws `ERR_CONNECTOR_UNREACHABLE` for an address that may not be gone to; what connecting throws */
  const connect = async ({ host, port }: Destination): Promise<Socket> =>
    kept(await guardedSocket({ host, port }, { hostname: host, allowPrivateNetwork: list.allowPrivateNetwork }));

  const refusalOf = (to: Destination | undefined): string | undefined => {
    if (to !== undefined && isAllowed(to)) return undefined;
    const place = to === undefined ? 'what was asked for' : `${to.host}:${to.port}`;
    log?.warn({ to: place.slice(0, 300) }, 'a server in a sandbox asked for a place that is not on its list');
    return `${place} is not on the list of this connector (transport.stdio.sandbox.network.allow)`;
  };

  server.on('connection', kept);
  server.on('connect', (request: IncomingMessage, client: Duplex, head: Buffer) => {
    const to = authorityOf(request.url ?? '');
    const refusal = refusalOf(to);
    if (refusal !== undefined || to === undefined) {
      answer(client, 403, refusal ?? '');
      return;
    }
    connect(to).then(
      (outer) => {
        client.write('HTTP/1.1 200 Connection Established\r\n\r\n');
        if (head.length > 0) outer.write(head);
        join(client, outer);
      },
      (error: Error) => answer(client, 502, `${to.host}:${to.port} cannot be reached: ${error.message}`),
    );
  });
  server.on('request', (request: IncomingMessage, response: ServerResponse) => {
    const url = URL.canParse(request.url ?? '') ? new URL(request.url ?? '') : undefined;
    const to = url?.protocol === 'http:' ? { host: plainHost(url.hostname), port: Number(url.port || 80) } : undefined;
    const refusal = refusalOf(to);
    if (refusal !== undefined || to === undefined || url === undefined) {
      response.writeHead(403, { 'content-type': 'text/plain', connection: 'close' }).end(refusal);
      return;
    }
    connect(to).then(
      (outer) => forward(request, response, url, outer),
      (error: Error) =>
        response.writeHead(502, { 'content-type': 'text/plain' }).end(`${to.host} cannot be reached: ${error.message}`),
    );
  });

  if (Buffer.byteLength(path) > LONGEST_PATH) throw notMade('its path is too long');
  await new Promise<void>((listening, failed) => {
    server.once('error', (error: NodeJS.ErrnoException) => failed(notMade(error.code ?? 'unknown')));
    server.listen({ path, exclusive: true }, listening);
  });

  let closing: Promise<void> | undefined;
  return {
    close() {
      closing ??= new Promise((closed) => {
        server.close(() => closed());
        for (const socket of sockets) socket.destroy();
      });
      return closing;
    },
  };
}

function notMade(reason: string): RemitError {
  return unreachable(`The way out of a sandbox could not be made (${reason})`, {
    hint: `See to the temporary folder: the whole path of a socket has at most ${LONGEST_PATH} bytes.`,
  });
}

/** `host:port`, as CONNECT has it; undefined for what is none. */
function authorityOf(text: string): Destination | undefined {
  const at = text.lastIndexOf(':');
  const port = Number(text.slice(at + 1));
  if (at < 1 || !Number.isInteger(port) || port < 1 || port > 65_535) return undefined;
  return { host: plainHost(text.slice(0, at)), port };
}

function answer(client: Duplex, status: 403 | 502, text: string): void {
  const reason = status === 403 ? 'Forbidden' : 'Bad Gateway';
  const head = [`HTTP/1.1 ${status} ${reason}`, 'Content-Type: text/plain', 'Connection: close'];
  client.end(`${[...head, `Content-Length: ${Buffer.byteLength(text)}`].join('\r\n')}\r\n\r\n${text}`);
}

function join(one: Duplex, other: Duplex): void {
  one.once('close', () => other.destroy());
  other.once('close', () => one.destroy());
  one.pipe(other).pipe(one);
}

function forward(request: IncomingMessage, response: ServerResponse, url: URL, socket: Socket): void {
  const named = (request.headers.connection ?? '').split(',').map((name) => name.trim().toLowerCase());
  const headers = Object.fromEntries(
    Object.entries(request.headers).filter(([name]) => !HOP_HEADERS.test(name) && !named.includes(name)),
  );
  const outgoing = httpRequest(
    {
      method: request.method,
      path: `${url.pathname}${url.search}`,
      headers: { ...headers, host: url.host, connection: 'close' },
      createConnection: () => socket,
    },
    (incoming) => {
      const back = Object.entries(incoming.headers).filter(([name]) => !HOP_HEADERS.test(name));
      response.writeHead(incoming.statusCode ?? 502, Object.fromEntries(back));
      incoming.pipe(response);
      incoming.once('error', () => response.destroy());
    },
  );
  outgoing.once('error', () => {
    if (response.headersSent) response.destroy();
    else response.writeHead(502).end();
  });
  response.once('close', () => socket.destroy());
  request.pipe(outgoing);
}
