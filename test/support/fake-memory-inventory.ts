import type { InventoryPin, InventoryRepository, InventoryTool } from '../../src/seams/store.ts';

/** FAKE: an inventory in memory, of seen items and pins. What a store must do is in the store suite. */
export function createMemoryInventory(): InventoryRepository & {
  readonly seen: Map<string, InventoryTool>;
  readonly pinned: Map<string, InventoryPin>;
} {
  const seen = new Map<string, InventoryTool>();
  const pinned = new Map<string, InventoryPin>();
  const keyOf = ({ connector, name }: { connector: string; name: string }): string => `${connector}/${name}`;
  const ofConnector = <T extends { readonly connector: string }>(rows: Map<string, T>, connector?: string): T[] =>
    [...rows.values()].filter((row) => connector === undefined || row.connector === connector);
  return {
    seen,
    pinned,
    replace: async () => {},
    async recordTools(_tenant, connector, tools) {
      for (const [key, row] of seen) if (row.connector === connector) seen.delete(key);
      for (const tool of tools) seen.set(keyOf(tool), tool);
    },
    agents: async () => [],
    connectors: async () => [],
    grants: async () => [],
    tools: async (_tenant, connector) => ofConnector(seen, connector).sort((a, b) => (keyOf(a) < keyOf(b) ? -1 : 1)),
    pins: async (_tenant, connector) => ofConnector(pinned, connector),
    async pin(_tenant, pins) {
      for (const pin of pins) pinned.set(keyOf(pin), pin);
    },
  };
}
