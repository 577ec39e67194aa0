import { createServer, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { messageOf, RemitError } from '../domain/errors.ts';
import type { Log } from '../seams/clock.ts';
import type { Metrics } from '../seams/telemetry.ts';

export interface MetricsServer {
  readonly port: number;
  close(): Promise<void>;
}

const HOST = '127.0.0.1';
const MOST_CONNECTIONS = 16;

/**
 * Serves `/metrics` on loopback, on a port of its own: agents reach the gateway's port, and need not know how it is doing.
 * @throws `ERR_ALREADY_RUNNING` when the port is taken, `ERR_CONFIG_INVALID` when it cannot be opened
 */
export async function serveMetrics(port: number, metrics: Pick<Metrics, 'render'>, log: Log): Promise<MetricsServer> {
  let rendering: ReturnType<Metrics['render']> | undefined;
  const server = createServer((request, response) => {
    request.resume();
    // A browser's page that was made to resolve to this host (DNS rebinding) names another.
    const host = (request.headers.host ?? '').replace(/:\d+$/, '');
    if (host !== HOST && host !== 'localhost') return end(response, 421, 'This is not the host that you asked for.\n');
    if (request.method !== 'GET') return end(response, 405, 'GET only.\n');
    if ((request.url ?? '').split('?', 1)[0] !== '/metrics') return end(response, 404, 'See /metrics.\n');
    // Many who ask at once cost one reading.
    rendering ??= metrics.render().finally(() => {
      rendering = undefined;
    });
    rendering.then(
      ({ text, type }) => end(response, 200, text, type),
      (error: unknown) => {
        log.warn({ error: messageOf(error) }, 'metrics could not be read');
        end(response, 503, 'The gateway cannot read its state at the moment.\n');
      },
    );
  });
  server.maxConnections = MOST_CONNECTIONS;
  server.headersTimeout = 5_000;
  server.requestTimeout = 5_000;
  await new Promise<void>((resolve, reject) => {
    server.once('error', (cause: NodeJS.ErrnoException) =>
      reject(
        new RemitError(
          cause.code === 'EADDRINUSE' ? 'ERR_ALREADY_RUNNING' : 'ERR_CONFIG_INVALID',
          `metrics cannot be served on ${HOST}:${port}: ${cause.code ?? cause.message}`,
          {
            where: 'telemetry.metrics.port',
            hint: 'Set another port in remit.yaml, or stop what has this one.',
            cause,
          },
        ),
      ),
    );
    server.listen({ port, host: HOST, exclusive: true }, resolve);
  });
  return {
    port: (server.address() as AddressInfo).port,
    async close() {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

function end(response: ServerResponse, status: number, text: string, type = 'text/plain; charset=utf-8'): void {
  response.writeHead(status, { 'Content-Type': type, 'Cache-Control': 'no-store' }).end(text);
}
