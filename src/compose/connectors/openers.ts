import { tmpdir } from 'node:os';
import { type Containment, createContainment } from '../../adapters/upstreams/contain-process.ts';
import { createHttpOpener } from '../../adapters/upstreams/http-upstream.ts';
import { createSseOpener } from '../../adapters/upstreams/sse-upstream.ts';
import { createStdioOpener, type StartedProcess } from '../../adapters/upstreams/stdio-upstream.ts';
import type { RecordEntry } from '../../audit/recorder.ts';
import type { ConnectorConfig } from '../../config/schema.ts';
import { isRemitError, RemitError } from '../../domain/errors.ts';
import type { ConnectorId } from '../../domain/ids.ts';
import type { UpstreamOpener } from '../../seams/upstream.ts';
import { identityOfTask } from '../trail/task-records.ts';
import type { Workspace } from '../workspace.ts';

export type ClosableOpener = UpstreamOpener & { close(): Promise<void> };

/** A connector's server answered 401 or 403, and said how to be let in. */
export type OnChallenge = (connector: ConnectorId, status: number, header: string) => void;

/** One opener for each connector, and the containment that their processes share. */
export async function buildOpeners(
  { estate, loaded, places, store, system }: Workspace,
  version: string,
  recordLater: (entry: RecordEntry) => void,
  onChallenge: OnChallenge,
): Promise<{ openers: ReadonlyMap<ConnectorId, ClosableOpener>; containment: Containment }> {
  const containment = await createContainment({
    random: system.random,
    schedule: system.schedule,
    environment: process.env,
    temporaryFolder: tmpdir(),
    log: system.log,
  });
  const common = { clientInfo: { name: 'remit', version }, schedule: system.schedule, log: system.log };
  const openers = new Map<ConnectorId, ClosableOpener>();
  for (const { id, config } of estate.connectors.values()) {
    openers.set(
      id,
      within(id, () => openerOf(id, config)),
    );
  }
  return { openers, containment };

  /** Under the identity of its task, as every record of one (guarantee A2); a task of the gateway's own is in the store alone. */
  async function recordStart(connector: ConnectorId, { task, pid, package: found }: StartedProcess): Promise<void> {
    const known = await store.tasks.get(estate.tenant, task).catch(() => undefined);
    recordLater({
      type: 'connector_started',
      ...(known === undefined ? { task } : identityOfTask(known)),
      connector,
      detail: { pid, ...(found && { package: found.name, version: found.version, digest: `sha256:${found.digest}` }) },
    });
  }

  function openerOf(connector: ConnectorId, { transport, protocol }: ConnectorConfig): ClosableOpener {
    if ('http' in transport) {
      const noted = (status: number, header: string): void => onChallenge(connector, status, header);
      return createHttpOpener({ ...transport.http, protocol, onChallenge: noted, ...common });
    }
    if ('sse' in transport) return createSseOpener({ ...transport.sse, ...common });
    const { command, environment, workingDirectory, sandbox, allowInlineCode } = transport.stdio;
    return createStdioOpener({
      command,
      environment,
      workingDirectory: loaded.resolvePath(workingDirectory ?? '.'),
      containment,
      protocol,
      allowInlineCode,
      sandbox: sandbox && {
        network: sandbox.network,
        readOnly: sandbox.readOnly.map(loaded.resolvePath),
        readWrite: sandbox.readWrite.map(loaded.resolvePath),
        hidden: [places.data],
      },
      onStarted: (started) => void recordStart(connector, started),
      ...common,
    });
  }
}

/** A fault in what people wrote says where: of which connector. */
function within<T>(connector: ConnectorId, make: () => T): T {
  try {
    return make();
  } catch (error) {
    if (!isRemitError(error)) throw error;
    const { code, message, where, hint } = error;
    throw new RemitError(code, message, {
      where: where === undefined ? `connectors.${connector}` : `connectors.${connector}.${where}`,
      ...(hint !== undefined && { hint }),
      cause: error,
    });
  }
}
