import type { ConnectorId, TenantId } from '../domain/ids.ts';
import { type GovernedTool, itemName } from '../domain/tool.ts';
import type { InventoryTool } from '../seams/store.ts';
import type { GovernedItems } from './govern-items.ts';

/**
 * What the inventory keeps of a connector: each item under its name in refs. A described resource has the row `{ uriPattern }`, which takes
 * the place of a template of the same text.
 */
export function inventoryRows(
  tenant: TenantId,
  connector: ConnectorId,
  items: GovernedItems,
  resources: readonly GovernedTool[],
  now: number,
): InventoryTool[] {
  const rows = new Map<string, InventoryTool>();
  const keep = (name: string, { definition, status, profile }: Judged, shown: object = definition.raw): void => {
    rows.set(name, {
      tenant,
      connector,
      name,
      fingerprint: definition.fingerprint,
      definition: shown,
      // Of a connector, and no matter of its items.
      status: status === 'suspended' ? 'described' : status,
      actionClass: profile?.actionClass,
      approvedBy: profile?.approvedBy,
      firstSeenAt: now,
      lastSeenAt: now,
    });
  };
  for (const item of [...items.tools, ...items.prompts]) keep(itemName(item.kind, item.name), item);
  for (const { definition, item } of items.templates) {
    keep(itemName('resource', definition.name), {
      definition,
      status: item?.status ?? 'undescribed',
      profile: item?.profile,
    });
  }
  for (const item of resources) keep(itemName('resource', item.name), item, { uriPattern: item.name });
  return [...rows.values()];
}

type Judged = Pick<GovernedTool, 'definition' | 'status' | 'profile'>;
