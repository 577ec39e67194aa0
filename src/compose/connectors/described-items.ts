import type { ConnectorId, ToolRef } from '../../domain/ids.ts';
import { type GovernedTool, type ItemKind, itemRef, type ToolProfile } from '../../domain/tool.ts';
import type { Estate, EstateConnector } from '../estate.ts';

/** An item of the configuration as decisions see it; of its definition, which policies never read, there is nothing. */
export function describedItem(estate: Estate, ref: ToolRef): GovernedTool | undefined {
  const slash = ref.indexOf('/');
  const connector = estate.connectors.get(ref.slice(0, slash) as ConnectorId);
  if (connector === undefined || slash < 0) return undefined;
  const { kind, name } = readItemName(ref.slice(slash + 1));
  const profile = profilesOf(connector, kind).get(name);
  return profile === undefined ? undefined : itemOf(connector, kind, name, profile);
}

/** All described items of a kind, of one connector where it is named. */
export function describedItems(estate: Estate, kind: ItemKind, scope?: string): GovernedTool[] {
  return [...estate.connectors.values()]
    .filter(({ id }) => scope === undefined || id === scope)
    .flatMap((connector) =>
      [...profilesOf(connector, kind)].map(([name, profile]) => itemOf(connector, kind, name, profile)),
    );
}

/** The same item as it was when it could not be called. */
export const withStatus = (item: GovernedTool, status: GovernedTool['status']): GovernedTool => ({ ...item, status });

function readItemName(text: string): { readonly kind: ItemKind; readonly name: string } {
  for (const kind of ['resource', 'prompt'] as const) {
    if (text.startsWith(`${kind}:`)) return { kind, name: text.slice(kind.length + 1) };
  }
  return { kind: 'tool', name: text };
}

function profilesOf({ profiles, resources, prompts }: EstateConnector, kind: ItemKind) {
  return { tool: profiles, resource: resources, prompt: prompts }[kind];
}

function itemOf({ id }: EstateConnector, kind: ItemKind, name: string, profile: ToolProfile): GovernedTool {
  const definition = { connector: id, name, description: '', raw: {}, fingerprint: profile.fingerprint ?? '' };
  return {
    kind,
    ref: itemRef(id, kind, name),
    connector: id,
    name,
    exposedName: name,
    definition,
    profile,
    status: 'described',
  };
}
