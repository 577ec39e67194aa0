import type { ConnectorId } from '../../domain/ids.ts';
import { type Catalogue, createCatalogue } from '../../inventory/catalogue.ts';
import type { Wire } from '../build-wire.ts';
import { createItemLister, type ItemListerParts } from './list-tools.ts';

/** What connectors have; told to clients, and to whom else it concerns, when it changes. */
export function buildCatalogue(
  parts: ItemListerParts & { readonly wire: Pick<Wire, 'hub'>; readonly onChanged: (connector: ConnectorId) => void },
): Catalogue {
  const { workspace, wire, onChanged } = parts;
  const { store, estate, system } = workspace;
  return createCatalogue({
    tenant: estate.tenant,
    connectors: [...estate.connectors.values()],
    inventory: store.inventory,
    listItems: createItemLister(parts),
    clock: system.clock,
    log: system.log,
    onChanged(connector, kinds) {
      for (const kind of kinds) wire.hub.listChanged(connector, kind);
      onChanged(connector);
    },
  });
}
