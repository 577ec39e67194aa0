import type { Config } from '../../config/schema.ts';
import { RemitError } from '../../domain/errors.ts';
import type { SeenNode } from '../../domain/node.ts';
import type { ConnectionLimits, SharedStore } from '../../seams/shared-store.ts';
import type { Workspace } from '../workspace.ts';

/** What one node hears notices on. */
const LISTENER = 1;

/** Connections that a gateway may have to its PostgreSQL; 0 where it has another store. */
export const connectionsOf = ({ store }: Pick<Config, 'store'>): number =>
  store.kind === 'postgres' ? store.connections + LISTENER : 0;

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

/** @param others nodes beside this one; of one that does not say how many it may have, as many as this one */
export function sumConnections(
  own: number,
  others: readonly Pick<SeenNode, 'connections'>[],
  { most, reserved, ofRole }: ConnectionLimits,
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
  const each = Math.floor(available / nodes) - LISTENER;
  const lower = each >= LEAST ? `Set store.connections to ${each} or less at every node` : 'Run fewer nodes';
  const raise = isNarrower ? 'raise its CONNECTION LIMIT' : `raise max_connections to ${needed + reserved} or more`;
  return { nodes, needed, available, what, hint: `${lower}, or ${raise}.` };
}

/** Fewer would make calls wait for each other. */
const LEAST = 2;

/** As of now, for the nodes that are there. @param isJoining this one is about to be one of them @throws `ERR_STORE_*` */
export async function readConnections(
  { config, estate, node }: Workspace,
  { nodes, server }: SharedStore,
  isJoining: boolean,
): Promise<ConnectionSum> {
  const [seen, limits] = await Promise.all([nodes.list(estate.tenant), server.connectionLimits()]);
  const there = seen.filter(({ leftMs }) => leftMs > 0);
  const own = connectionsOf(config);
  const [first, ...more] = there;
  if (!isJoining && first !== undefined) return sumConnections(first.connections || own, more, limits);
  return sumConnections(
    own,
    there.filter(({ name }) => name !== node),
    limits,
  );
}

/** Before a node joins: with it, all must be able to have the connections that they may open. @throws `ERR_CONFIG_INVALID`, `ERR_STORE_*` */
export async function assertConnectionsFit(workspace: Workspace, shared: SharedStore): Promise<void> {
  const { what, hint } = await readConnections(workspace, shared, true);
  if (hint === undefined) return;
  throw new RemitError('ERR_CONFIG_INVALID', what, { where: 'store.connections', hint });
}
