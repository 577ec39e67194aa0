import type { Recorder } from '../../audit/recorder.ts';
import { isRemitError, RemitError } from '../../domain/errors.ts';
import { agentId, type ConnectorId, newTaskId, newTraceId, templateId } from '../../domain/ids.ts';
import type { Task } from '../../domain/task.ts';
import { readPages } from '../../gateway/methods/read-pages.ts';
import { needlesOf } from '../../gateway/stages/withhold-secrets.ts';
import type { ListItems } from '../../inventory/catalogue.ts';
import type { ListedItems } from '../../inventory/govern-items.ts';
import type { HeldLease } from '../../leases/held-lease.ts';
import type { IssuerBinding } from '../../leases/lease-context.ts';
import type { LeaseManager } from '../../leases/lease-manager.ts';
import { NO_CREDENTIAL, type Upstream, type UpstreamOpener } from '../../seams/upstream.ts';
import type { Workspace } from '../workspace.ts';

const DISCOVERY_SECONDS = 120;

export interface ItemListerParts {
  readonly workspace: Workspace;
  readonly openers: ReadonlyMap<ConnectorId, UpstreamOpener>;
  readonly leases: LeaseManager;
  readonly issuers: ReadonlyMap<ConnectorId, IssuerBinding>;
  readonly recorder: Recorder;
  readonly timeoutMs: (connector: ConnectorId) => number;
  /** @throws when the connector is suspended */
  readonly assertServed: (connector: ConnectorId) => void;
}

/**
 * Lists what a connector has, for the catalogue. The gateway does this under a task of its own, recorded like any other, with a lease only
 * where the server does not answer without one: a static token at once, a database role when listing without one has failed. The task names
 * no resource and no action class, so that such a role may log in and nothing else.
 */
export function createItemLister(parts: ItemListerParts): ListItems {
  const { workspace, leases, issuers, recorder } = parts;
  const { store, system, estate } = workspace;

  return async (connector) => {
    parts.assertServed(connector);
    const task = discoveryTask(workspace, connector);
    const credential = issuers.get(connector)?.issuer.kind;
    let held: HeldLease | undefined;
    const listLeased = async (): Promise<ListedItems> => {
      held = await leases.acquire(task, connector);
      const release = held?.retain();
      try {
        return await list(parts, task, connector, held);
      } finally {
        release?.();
      }
    };
    await store.tasks.insert(task);
    try {
      const items =
        credential === 'static'
          ? await listLeased()
          : await list(parts, task, connector, undefined).catch(async (error: unknown) => {
              if (credential === undefined || !isOfConnector(error)) throw error;
              return await listLeased().catch((cause: unknown) => {
                if (isOfConnector(cause)) throw cause;
                if (!isRemitError(cause)) throw error;
                const { code, where, hint } = cause;
                system.log.warn({ connector, code, where, hint }, `no credential for the listing: ${cause.message}`);
                throw withoutCredential(error, cause);
              });
            });
      const { tools, prompts, templates } = items;
      await recorder.record({
        type: 'discovery',
        trace: task.trace,
        agent: task.agent,
        connector,
        task: task.id,
        ...(held && { lease: held.lease.id }),
        detail: {
          effect: 'catalogue',
          tools: tools.length,
          prompts: prompts.length,
          templates: templates.length,
          purpose: task.purpose,
        },
      });
      return items;
    } finally {
      if (credential !== undefined) await leases.revokeTask(task.id, 'completed');
      await store.tasks.end(estate.tenant, task.id, 'completed', system.clock());
    }
  };
}

async function list(
  { workspace, openers, timeoutMs }: ItemListerParts,
  task: Task,
  connector: ConnectorId,
  held: HeldLease | undefined,
): Promise<ListedItems> {
  const opener = openers.get(connector);
  const transport = workspace.estate.connectors.get(connector)?.config.transport;
  const isProcess = transport !== undefined && 'stdio' in transport;
  if (opener === undefined) throw new RemitError('ERR_NOT_FOUND', `no connector is called ${connector}`);
  const within = timeoutMs(connector);
  // Taken first: when the lease ends, its secret is wiped.
  const needles = needlesOf(held);
  const upstream: Upstream = await opener.open({
    connector,
    task: task.id,
    injection: held?.injection ?? NO_CREDENTIAL,
    timeoutMs: within,
    // A modern listing is one request over HTTP; a process is asked first what more servers understand.
    prefer: isProcess ? 'legacy' : 'modern',
    clientCapabilities: {},
  });
  try {
    const { tools, prompts, resources } = upstream.capabilities;
    const read = (method: string, member: string, isDeclared: boolean) =>
      readPages(upstream, connector, { method, member, isDeclared }, within, needles);
    return {
      // Asked for in any case: some servers have tools and do not say so.
      tools: await read('tools/list', 'tools', tools !== undefined),
      prompts: prompts === undefined ? [] : await read('prompts/list', 'prompts', true),
      // A server may have resources and know nothing of templates.
      templates: resources === undefined ? [] : await read('resources/templates/list', 'resourceTemplates', false),
    };
  } finally {
    await upstream.close();
  }
}

/** What the server said without a credential is the connector's problem; why it could not get one, which mostly is the cause, is said first. */
function withoutCredential(error: RemitError, { message, where, hint }: RemitError): RemitError {
  const why = where === undefined ? message : `${message} (${where})`;
  return new RemitError(error.code, `no credential could be had for it: ${why}. Without one: ${error.message}`, {
    ...(error.where !== undefined && { where: error.where }),
    ...(hint !== undefined && { hint }),
    cause: error,
  });
}

const isOfConnector = (error: unknown): error is RemitError =>
  isRemitError(error) && error.code.startsWith('ERR_CONNECTOR_');

function discoveryTask({ estate, system }: Workspace, connector: ConnectorId): Task {
  const now = system.clock();
  return {
    id: newTaskId(system.random),
    tenant: estate.tenant,
    agent: agentId('remit'),
    user: undefined,
    template: templateId('remit-catalogue'),
    purpose: `read the definitions of ${connector}`,
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
