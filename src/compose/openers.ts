import { tmpdir } from 'node:os';
import { type Containment, createContainment } from '../adapters/upstreams/contain-process.ts';
import { createHttpOpener } from '../adapters/upstreams/http-upstream.ts';
import { createStdioOpener } from '../adapters/upstreams/stdio-upstream.ts';
import type { ConnectorId } from '../domain/ids.ts';
import type { UpstreamOpener } from '../seams/upstream.ts';
import type { Workspace } from './workspace.ts';

export type ClosableOpener = UpstreamOpener & { close(): Promise<void> };

/** One opener for each connector, and the containment that their processes share. */
export async function buildOpeners(
  { estate, loaded, system }: Workspace,
  version: string,
): Promise<{ openers: ReadonlyMap<ConnectorId, ClosableOpener>; containment: Containment }> {
  const containment = await createContainment({
    random: system.random,
    schedule: system.schedule,
    environment: process.env,
    temporaryFolder: tmpdir(),
    log: system.log,
  });
  const clientInfo = { name: 'remit', version };
  const openers = new Map<ConnectorId, ClosableOpener>();
  for (const { id, config } of estate.connectors.values()) {
    if ('stdio' in config.transport) {
      const { command, environment, workingDirectory } = config.transport.stdio;
      openers.set(
        id,
        createStdioOpener({
          command,
          environment,
          workingDirectory: loaded.resolvePath(workingDirectory ?? '.'),
          containment,
          clientInfo,
          schedule: system.schedule,
        }),
      );
    } else {
      openers.set(id, createHttpOpener({ url: config.transport.http.url, clientInfo, schedule: system.schedule }));
    }
  }
  return { openers, containment };
}
