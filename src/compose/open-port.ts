import { type HttpServer, type HttpServerOptions, openHttpServer } from '../http/server.ts';
import { allowedHosts, nodeAddress, ownUrl, workerPlace } from './addresses.ts';
import { checkLimits, readOpenFilesLimit } from './check-limits.ts';
import { assertAddressGiven } from './nodes/node-address.ts';
import type { Workspace } from './workspace.ts';

export interface OpenPort {
  /** Its host and port are this process's alone. */
  readonly http: HttpServer;
  /** Under which URL agents reach the gateway. */
  readonly url: string;
  /** Where it listens for them, as a URL: beside a proxy's it differs from `url`. */
  readonly listens: string;
  /** Under which URL other nodes reach this one. */
  readonly address: string;
  /** Names under which it may be addressed. */
  readonly hosts: ReadonlySet<string>;
}

/** Opens the port that agents reach, and says under which URL they do; nothing is served on it yet. */
export async function openPort(workspace: Workspace): Promise<OpenPort> {
  const { config, system, worker } = workspace;
  assertAddressGiven(config);
  const { maxConnections, problem } = checkLimits(config, await readOpenFilesLimit());
  if (problem !== undefined) system.log.warn({ hint: problem.hint }, problem.what);
  const open = (at: { host: string; port: number }, options: HttpServerOptions = {}): Promise<HttpServer> =>
    openHttpServer(at.host, at.port, system, { maxConnections, ...options });
  if (worker === undefined) {
    const http = await open(config.listen);
    const url = ownUrl(config, http);
    const listens = ownUrl({}, http);
    return { http, url, listens, address: nodeAddress(config, http), hosts: allowedHosts(url, http.host, http.port) };
  }
  const place = workerPlace(config, worker.number);
  const own = await open(place, { isExclusive: true });
  const http = await besideShared(own, () => open(config.listen), worker.isFirst);
  const url = ownUrl(config, config.listen);
  const hosts = [config.listen, own].flatMap(({ host, port }) => [...allowedHosts(url, host, port)]);
  return { http, url, listens: ownUrl({}, config.listen), address: nodeAddress(place, own), hosts: new Set(hosts) };
}

/** A worker's own port, with the one that all share beside it. Who does not serve yet takes none of the connections there while others do. */
async function besideShared(
  own: HttpServer,
  openShared: () => Promise<HttpServer>,
  isFirst: boolean,
): Promise<HttpServer> {
  let shared: HttpServer | undefined;
  try {
    if (isFirst) shared = await openShared();
  } catch (error) {
    await own.close();
    throw error;
  }
  return {
    host: own.host,
    port: own.port,
    showKeys(handler, hosts) {
      own.showKeys(handler, hosts);
      shared?.showKeys(handler, hosts);
    },
    async serve(routes, hosts) {
      await own.serve(routes, hosts);
      shared ??= await openShared();
      await shared.serve(routes, hosts);
    },
    refuse(reason) {
      own.refuse(reason);
      shared?.refuse(reason);
    },
    retire() {
      own.retire();
      shared?.retire();
    },
    async close() {
      await Promise.all([shared?.close(), own.close()]);
    },
  };
}
