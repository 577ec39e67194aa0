import type { JsonObject } from '../../domain/json.ts';
import type { SeenItem } from '../../inventory/definition-findings.ts';
import type { Workspace } from '../workspace.ts';

/** Everything that the inventory has seen, with what was approved of it. */
export async function seenItems({
  store,
  estate,
}: Pick<Workspace, 'store' | 'estate'>): Promise<(SeenItem & { readonly firstSeenAt: number })[]> {
  const { tenant } = estate;
  const [tools, pins] = await Promise.all([store.inventory.tools(tenant), store.inventory.pins(tenant)]);
  const approved = new Map(pins.map((pin) => [`${pin.connector}/${pin.name}`, pin.definition as JsonObject]));
  return tools.map(({ connector, name, status, definition, firstSeenAt }) => {
    const ref = `${connector}/${name}`;
    const [, kind = 'tool', plain = name] = /^(prompt|resource):(.*)$/s.exec(name) ?? [];
    return {
      ref,
      connector,
      kind,
      name: plain,
      status,
      definition: definition as JsonObject,
      approved: approved.get(ref),
      firstSeenAt,
    };
  });
}
