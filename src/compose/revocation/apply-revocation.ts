import type { Approvals } from '../../approvals/approvals.ts';
import type { RecordEntry } from '../../audit/recorder.ts';
import { isRemitError } from '../../domain/errors.ts';
import { agentId, type ConnectorId, connectorId, leaseId, type TaskId, taskId } from '../../domain/ids.ts';
import type { Lease } from '../../domain/lease.ts';
import { isSameRow, logRowOf } from '../../domain/log-position.ts';
import { type Revocation, type Standing, subjectText } from '../../domain/revocation.ts';
import type { Catalogue } from '../../inventory/catalogue.ts';
import type { LeaseManager } from '../../leases/lease-manager.ts';
import type { Store } from '../../seams/store.ts';
import type { TaskRegistry } from '../../tasks/task-registry.ts';
import type { Wire } from '../build-wire.ts';
import type { Workspace } from '../workspace.ts';

/** What a row ended here. */
export interface Effects {
  readonly tasksEnded: number;
  readonly tasksSuspended: number;
  readonly tasksResumed: number;
  /** As they stand: one that is `revoking` is tried on, and must not be called revoked (guarantee L7). */
  readonly leases: { readonly ended: number; readonly lapsing: number; readonly revoking: number };
}

export interface Applier {
  apply(row: Revocation): Promise<Effects>;
  /** What `apply` gives for one of the last rows. */
  effectsOf(row: Revocation): Promise<Effects> | undefined;
  /** Connectors that are suspended. */
  readonly connectors: ReadonlySet<ConnectorId>;
  /** Takes over what the log held back before this gateway began to read. */
  begin(): void;
}

const KEPT = 64;
const KINDS = ['tools', 'prompts', 'resources'] as const;

/**
 * What a row of the revocation log means in this gateway (guarantee V2). Tasks take their own along: tokens, sessions, streams, parked calls,
 * connections and leases, wherever `start-gateway` listens to their ends and suspensions. Lists are never served from anything but the
 * catalogue. Approvals go with their tasks too, and with their connector here; whatever this gateway has read by then, a use of one asks the log (D5).
 */
export function createApplier(parts: {
  workspace: Workspace;
  standing: Standing;
  tasks: TaskRegistry;
  leases: LeaseManager;
  catalogue: Catalogue;
  wire: Wire;
  approvals: Pick<Approvals, 'endConnector'>;
  recordLater: (entry: RecordEntry) => void;
}): Applier {
  const { workspace, standing, tasks, leases, catalogue, wire, approvals, recordLater } = parts;
  const { estate, store } = workspace;
  const connectors = new Set<ConnectorId>();
  const applied = new Map<number, { readonly row: Revocation; readonly effects: Promise<Effects> }>();

  function holdConnector(id: ConnectorId): boolean {
    const isHeld = standing.on('connector', id) !== undefined;
    if (connectors.has(id) === isHeld) return false;
    if (isHeld) connectors.add(id);
    else connectors.delete(id);
    return true;
  }

  /** Of each task's own clients: what is listed for them is different now. */
  async function changeConnector(id: ConnectorId, row: Revocation): Promise<readonly Lease[]> {
    if (holdConnector(id)) {
      catalogue.suspend(connectors);
      for (const kind of KINDS) wire.hub.listChanged(id, kind);
    }
    if (!connectors.has(id)) {
      // It may have changed meanwhile; and what is known of it serves until that is found out.
      if (estate.connectors.has(id)) catalogue.refresh(id).catch(() => undefined);
      return [];
    }
    const closing = wire.connections.closeConnector(id);
    const ending = approvals.endConnector(id, `its connector was ${causeOf(row)}`);
    const [revoked] = await Promise.all([leases.revokeConnector(id, causeOf(row)), closing, ending]);
    return revoked;
  }

  async function endLease(id: string, row: Revocation): Promise<readonly Lease[]> {
    try {
      return [await leases.revoke(leaseId(id), causeOf(row))];
    } catch (error) {
      if (isRemitError(error, 'ERR_NOT_FOUND')) return [];
      throw error;
    }
  }

  /** An order that is given again: what its tasks held before, and could not be revoked, is tried at once, and told (L7). */
  async function retryLeft({ action, subject: { kind, id } }: Revocation): Promise<readonly Lease[]> {
    if (action === 'resume' || kind === 'connector' || kind === 'lease') return [];
    return await leases.retry(kind === 'task' ? { task: taskId(id) } : kind === 'agent' ? { agent: agentId(id) } : {});
  }

  async function apply(row: Revocation): Promise<Effects> {
    const { kind, id } = row.subject;
    const done = tasks.apply(row);
    const { ended, suspended, resumed } = done;
    const revoking =
      kind === 'connector' ? changeConnector(connectorId(id), row) : kind === 'lease' ? endLease(id, row) : NO_LEASES;
    recordLater({
      type: 'revocation_applied',
      detail: {
        position: row.position,
        action: row.action,
        subject: subjectText(row.subject),
        by: row.by,
        reason: row.reason,
        tasksEnded: ended.length,
        tasksSuspended: suspended.length,
        tasksResumed: resumed.length,
      },
    });
    const [own, again] = await Promise.all([revoking, retryLeft(row), done.done]);
    const found = [...own, ...again, ...(await leasesOf(store, workspace, [...ended, ...suspended], row.at))];
    return {
      tasksEnded: ended.length,
      tasksSuspended: suspended.length,
      tasksResumed: resumed.length,
      leases: countLeases([...new Map(found.map((lease) => [lease.id, lease])).values()]),
    };
  }

  return {
    connectors,
    apply(row) {
      const effects = apply(row);
      applied.set(row.position, { row, effects });
      applied.delete(row.position - KEPT);
      return effects;
    },
    effectsOf(row) {
      const known = applied.get(row.position);
      // In a store that was put back from a copy the position is given away again.
      return known !== undefined && isSameRow(logRowOf(known.row), logRowOf(row)) ? known.effects : undefined;
    },
    begin() {
      for (const id of estate.connectors.keys()) holdConnector(id);
      catalogue.suspend(connectors);
    },
  };
}

const NO_LEASES: readonly Lease[] = [];

export const causeOf = (row: Revocation): string =>
  `${row.action === 'suspend' ? 'suspended' : 'revoked'} by ${row.by}`;

/** What these tasks held when the row came: what had ended before is none of it. */
async function leasesOf(
  store: Store,
  { estate }: Workspace,
  ids: readonly TaskId[],
  since: number,
): Promise<readonly Lease[]> {
  const found: Lease[] = [];
  for (const task of ids) {
    for (const lease of await store.leases.list(estate.tenant, { task })) {
      if (lease.endedAt === undefined || lease.endedAt >= since) found.push(lease);
    }
  }
  return found;
}

function countLeases(leases: readonly Lease[]): Effects['leases'] {
  const count = { ended: 0, lapsing: 0, revoking: 0 };
  for (const { state } of leases) count[state === 'ended' || state === 'lapsing' ? state : 'revoking'] += 1;
  return count;
}
