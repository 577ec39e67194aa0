import type { ConnectorId } from '../domain/ids.ts';
import type { GovernedTool } from '../domain/tool.ts';
import { exposeName, shownName } from './expose-name.ts';

/** Items of one kind, by the names that clients see: one look-up each. */
export interface ItemIndex {
  readonly all: readonly GovernedTool[];
  readonly exposed: ReadonlyMap<string, GovernedTool>;
  /** By the name on the connector's own path. */
  readonly scoped: ReadonlyMap<ConnectorId, ReadonlyMap<string, GovernedTool>>;
}

export function indexItems(listed: readonly GovernedTool[]): ItemIndex {
  const uses = new Map<string, number>();
  for (const { exposedName } of listed) uses.set(exposedName, (uses.get(exposedName) ?? 0) + 1);
  // Names that would be the same get a hash each.
  const all = listed.map((item) =>
    uses.get(item.exposedName) === 1 ? item : { ...item, exposedName: exposeName(item.connector, item.name, true) },
  );
  const scoped = new Map<ConnectorId, Map<string, GovernedTool>>();
  // Those that keep the server's own name come first, so that no stand-in takes the name of one.
  for (const isOwn of [true, false]) {
    for (const item of all) {
      const name = shownName(item, item.connector);
      if ((name === item.name) !== isOwn) continue;
      let ofConnector = scoped.get(item.connector);
      if (ofConnector === undefined) {
        ofConnector = new Map();
        scoped.set(item.connector, ofConnector);
      }
      if (!ofConnector.has(name)) ofConnector.set(name, item);
    }
  }
  return { all, exposed: new Map(all.map((item) => [item.exposedName, item])), scoped };
}
