import { RemitError } from '../../domain/errors.ts';
import { type AgentId, type ConnectorId, type ToolRef, toolRef } from '../../domain/ids.ts';
import type { ToolProfile } from '../../domain/tool.ts';

/** What policies may speak of: the registered agents, and the connectors with their described tools. */
export interface PolicyInventory {
  readonly agents: readonly PolicyAgent[];
  readonly connectors: readonly PolicyConnector[];
}

export interface PolicyAgent {
  readonly id: AgentId;
  readonly owner: string;
  readonly environment: string;
  readonly zone: string;
}

export interface PolicyConnector {
  readonly id: ConnectorId;
  readonly owner: string;
  readonly environment: string;
  readonly zone: string;
  /** Tools with an approved profile, by the server's own name. An undescribed tool has no place here. */
  readonly tools: readonly { readonly name: string; readonly profile: ToolProfile }[];
}

export interface PolicyTool {
  readonly ref: ToolRef;
  readonly connector: ConnectorId;
  readonly profile: ToolProfile;
}

/** The inventory by id. */
export interface Estate {
  readonly agents: ReadonlyMap<string, PolicyAgent>;
  readonly connectors: ReadonlyMap<string, PolicyConnector>;
  readonly tools: ReadonlyMap<string, PolicyTool>;
}

/**
 * Indexes an inventory, in a fixed order.
 * @throws `ERR_POLICY_INVALID` when two entries share an id
 */
export function indexInventory(inventory: PolicyInventory): Estate {
  const agents = byId(inventory.agents, (agent) => agent.id, 'agent');
  const connectors = byId(inventory.connectors, (connector) => connector.id, 'connector');
  const described: PolicyTool[] = [];
  for (const connector of connectors.values()) {
    for (const { name, profile } of connector.tools) {
      described.push({ ref: toolRef(connector.id, name), connector: connector.id, profile });
    }
  }
  return { agents, connectors, tools: byId(described, (tool) => tool.ref, 'tool') };
}

function byId<T>(entries: readonly T[], idOf: (entry: T) => string, noun: string): Map<string, T> {
  const index = new Map<string, T>();
  for (const entry of [...entries].sort((a, b) => compareText(idOf(a), idOf(b)))) {
    const id = idOf(entry);
    if (index.has(id)) {
      throw new RemitError('ERR_POLICY_INVALID', `two ${noun}s are named ${JSON.stringify(id)}`, {
        hint: `Give every ${noun} a name of its own.`,
      });
    }
    index.set(id, entry);
  }
  return index;
}

/** Order by code unit: the same on every machine, unlike a locale's. */
function compareText(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}
