import { type HttpServer, openHttpServer } from '../http/server.ts';
import { ownUrl } from './addresses.ts';
import { checkLimits, readOpenFilesLimit } from './check-limits.ts';
import type { Workspace } from './workspace.ts';

/** Opens the port that agents reach, and says under which URL they do; nothing is served on it yet. */
export async function openPort({ config, system }: Workspace): Promise<{ http: HttpServer; url: string }> {
  const { maxConnections, problem } = checkLimits(config, await readOpenFilesLimit());
  if (problem !== undefined) system.log.warn({ hint: problem.hint }, problem.what);
  const { host, port } = config.listen;
  const http = await openHttpServer(host, port, system.schedule, { maxConnections });
  return { http, url: ownUrl(config, http) };
}
