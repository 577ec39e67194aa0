import { placeOfUrl } from '../../adapters/postgres/place-of-url.ts';
import { RemitError } from '../../domain/errors.ts';
import type { Connected, ConnectionLimits, SharedStore } from '../../seams/shared-store.ts';
import type { Workspace } from '../workspace.ts';

/** What one node hears notices on. */
const LISTENER = 1;
/** What it adds records to a table by. */
const ROWS = 1;

/** Connections that a gateway may have to the server of its PostgreSQL store; 0 where it has another store. */
export function connectionsOf({ config, system }: Pick<Workspace, 'config' | 'system'>): number {
  const { store, journal } = config;
  if (store.kind !== 'postgres') return 0;
  const rows = journal.ship.postgres;
  const serverAt = (variable: string): string | undefined =>
    placeOfUrl(system.environment(variable) ?? '')?.replace(/\/[^/]*$/, '');
  const hasRows = rows !== undefined && serverAt(rows.urlVariable) === serverAt(store.urlVariable);
  return store.connections + LISTENER + (hasRows ? ROWS : 0);
}

/** Connections of all nodes, beside what there is for them. */
export interface ConnectionSum {
  readonly nodes: number;
  readonly needed: number;
  readonly available: number;
  /** As a sentence with the numbers in it. */
  readonly what: string;
  /** What to change; undefined where it fits. */
  readonly hint: string | undefined;
}

/**
 * @param others nodes beside this one; of one that does not say how many it may have, as many as this one
 * @param besides those of its own that are not `store.connections`
 */
export function sumConnections(
  own: number,
  others: readonly Pick<Connected, 'connections'>[],
  { most, reserved, ofRole }: ConnectionLimits,
  besides = LISTENER,
): ConnectionSum {
  const nodes = others.length + 1;
  const needed = others.reduce((sum, { connections }) => sum + (connections === 0 ? own : connections), own);
  const ofServer = most - reserved;
  const isNarrower = ofRole !== undefined && ofRole < ofServer;
  const available = isNarrower ? ofRole : ofServer;
  const limit = isNarrower
    ? `the database, or its role, allows ${available}`
    : `the server has ${available} (max_connections ${most}, less ${reserved} reserved)`;
  const what = `${nodes === 1 ? 'one node' : `${nodes} nodes`} may open ${needed} connections; ${limit}`;
  if (needed <= available) return { nodes, needed, available, what, hint: undefined };
  const each = Math.floor(available / nodes) - besides;
  const lower = each >= LEAST ? `Set store.connections to ${each} or less at every node` : 'Run fewer nodes';
  const raise = isNarrower ? 'raise its CONNECTION LIMIT' : `raise max_connections to ${needed + reserved} or more`;
  return { nodes, needed, available, what, hint: `${lower}, or ${raise}.` };
}

/** Fewer would make calls wait for each other. */
const LEAST = 2;

/** As of now, for the nodes that are there, of every tenant of the store. @throws `ERR_STORE_*` */
export async function readConnections(workspace: Workspace, { nodes, server }: SharedStore): Promise<ConnectionSum> {
  const own = connectionsOf(workspace);
  const [[first, ...more], limits] = await Promise.all([nodes.everywhere(), server.connectionLimits()]);
  return sumConnections((first?.connections ?? 0) || own, more, limits);
}

/** What a node that is about to join is held to: with it, all must be able to have the connections that they may open. @throws `ERR_STORE_*` */
export async function admitByConnections(
  workspace: Pick<Workspace, 'config' | 'system'>,
  { server }: Pick<SharedStore, 'server'>,
): Promise<(others: readonly Connected[]) => void> {
  const { store } = workspace.config;
  const own = connectionsOf(workspace);
  const besides = store.kind === 'postgres' ? own - store.connections : 0;
  const limits = await server.connectionLimits();
  return (others) => {
    const { what, hint } = sumConnections(own, others, limits, besides);
    if (hint !== undefined) throw new RemitError('ERR_CONFIG_INVALID', what, { where: 'store.connections', hint });
  };
}
