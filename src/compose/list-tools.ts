import type { Recorder } from '../audit/recorder.ts';
import { RemitError } from '../domain/errors.ts';
import { agentId, type ConnectorId, newTaskId, newTraceId, templateId } from '../domain/ids.ts';
import { isJsonObject, type JsonObject } from '../domain/json.ts';
import { isRefused } from '../domain/refusal.ts';
import type { Task } from '../domain/task.ts';
import { withholdSecrets } from '../gateway/stages/withhold-secrets.ts';
import type { ListTools } from '../inventory/catalogue.ts';
import type { IssuerBinding } from '../leases/lease-context.ts';
import type { LeaseManager } from '../leases/lease-manager.ts';
import { NO_CREDENTIAL, type Upstream, type UpstreamOpener } from '../seams/upstream.ts';
import type { Workspace } from './workspace.ts';

const MAX_PAGES = 100;
const MAX_TOOLS = 5_000;
/** Characters of all definitions of one connector: they are kept in memory and in the store. */
const MAX_LISTING = 16 * 1024 * 1024;
const DISCOVERY_SECONDS = 120;

/**
 * Lists a connector's tools for the catalogue. The gateway does this under a task of its own, recorded like any other, with a
 * lease only where the server does not answer without one (a static token); a database role is never made for it.
 */
export function createToolLister(parts: {
  workspace: Workspace;
  openers: ReadonlyMap<ConnectorId, UpstreamOpener>;
  leases: LeaseManager;
  issuers: ReadonlyMap<ConnectorId, IssuerBinding>;
  recorder: Recorder;
  timeoutMs: (connector: ConnectorId) => number;
}): ListTools {
  const { workspace, openers, leases, issuers, recorder, timeoutMs } = parts;
  const { store, system, estate } = workspace;

  return async (connector) => {
    const task = discoveryTask(workspace, connector);
    const needsLease = issuers.get(connector)?.issuer.kind === 'static';
    await store.tasks.insert(task);
    let upstream: Upstream | undefined;
    let release: (() => void) | undefined;
    try {
      const held = needsLease ? await leases.acquire(task, connector) : undefined;
      release = held?.retain();
      upstream = await openers.get(connector)?.open({
        connector,
        task: task.id,
        injection: held?.injection ?? NO_CREDENTIAL,
        timeoutMs: timeoutMs(connector),
      });
      if (upstream === undefined) throw new RemitError('ERR_NOT_FOUND', `no connector is called ${connector}`);
      const tools = await readPages(upstream, connector, timeoutMs(connector), withholdSecrets(held));
      await recorder.record({
        type: 'discovery',
        trace: task.trace,
        agent: task.agent,
        connector,
        task: task.id,
        ...(held && { lease: held.lease.id }),
        detail: { effect: 'catalogue', tools: tools.length, purpose: task.purpose },
      });
      return tools;
    } finally {
      await upstream?.close();
      release?.();
      if (needsLease) await leases.revokeTask(task.id, 'completed');
      await store.tasks.end(estate.tenant, task.id, 'completed', system.clock());
    }
  };
}

function discoveryTask({ estate, system }: Workspace, connector: ConnectorId): Task {
  const now = system.clock();
  return {
    id: newTaskId(system.random),
    tenant: estate.tenant,
    agent: agentId('remit'),
    user: undefined,
    template: templateId('remit-catalogue'),
    purpose: `read the tool definitions of ${connector}`,
    bounds: { actionClasses: [], tools: [], resources: [], calls: 0 },
    parent: undefined,
    trace: newTraceId(system.random),
    state: 'active',
    endReason: undefined,
    startedAt: now,
    expiresAt: now + DISCOVERY_SECONDS * 1000,
    endedAt: undefined,
  };
}

/**
 * Follows pagination, bounded: a cursor that never ends is the server's fault. What it says reaches people's logs and, as definitions,
 * agents: a credential in it is taken out (guarantee L6).
 */
export async function readPages(
  upstream: Pick<Upstream, 'request'>,
  connector: ConnectorId,
  timeoutMs: number,
  withhold: ReturnType<typeof withholdSecrets>,
): Promise<JsonObject[]> {
  const tools: JsonObject[] = [];
  let size = 0;
  let cursor: string | undefined;
  for (let page = 0; page < MAX_PAGES; page++) {
    const params = cursor === undefined ? '{}' : JSON.stringify({ cursor });
    const { reply } = withhold(await upstream.request('tools/list', params, { timeoutMs }));
    if (isRefused(reply)) throw unusable(connector, 'replied to tools/list with what cannot be read');
    if ('error' in reply) {
      throw new RemitError(
        'ERR_CONNECTOR_PROTOCOL',
        `${connector} refused tools/list: ${reply.error.message} (${reply.error.code})`,
        {
          where: `connectors.${connector}`,
          hint: 'Run the server by hand to see why it does not list its tools.',
        },
      );
    }
    size += reply.resultText.length;
    if (size > MAX_LISTING) throw unusable(connector, `lists tools of more than ${MAX_LISTING} characters`);
    const { tools: listed, nextCursor } = reply.result;
    if (!Array.isArray(listed)) break;
    tools.push(...listed.filter(isJsonObject));
    if (typeof nextCursor !== 'string' || nextCursor === cursor || tools.length > MAX_TOOLS)
      return tools.slice(0, MAX_TOOLS);
    cursor = nextCursor;
  }
  return tools.slice(0, MAX_TOOLS);
}

function unusable(connector: ConnectorId, what: string): RemitError {
  return new RemitError('ERR_CONNECTOR_PROTOCOL', `${connector} ${what}`, {
    where: `connectors.${connector}`,
    hint: 'Run the server by hand to see what it lists.',
  });
}
