import type { Workspace } from '../workspace.ts';
import type { EstateFinding } from './estate-findings.ts';
import { seenItems } from './seen-items.ts';

const DAY_MS = 86_400_000;
/** Younger ones are what owners are describing at the moment. */
const LEAST_DAYS = 1;
/** From here on nobody is going to. */
const LONG_DAYS = 7;
const MOST_NAMED = 5;

/** What connectors have shown and nobody has described, by connector (M1): it can do nothing, and somebody is waiting for it or should not be offered it. */
export async function undescribedFindings(workspace: Workspace): Promise<EstateFinding[]> {
  const { estate, system } = workspace;
  const now = system.clock();
  const ages = new Map<string, { ref: string; days: number }[]>();
  for (const { connector, ref, status, firstSeenAt } of await seenItems(workspace)) {
    const days = Math.floor((now - firstSeenAt) / DAY_MS);
    // A connector that is configured no more is nobody's to describe.
    if (status !== 'undescribed' || days < LEAST_DAYS || !estate.connectors.has(connector as never)) continue;
    ages.set(connector, [...(ages.get(connector) ?? []), { ref, days }]);
  }
  return [...ages].map(([connector, items]) => {
    const oldest = Math.max(...items.map(({ days }) => days));
    const named = items.sort((a, b) => b.days - a.days).slice(0, MOST_NAMED);
    const rest = items.length - named.length;
    const owner = estate.connectors.get(connector as never)?.owner;
    return {
      severity: oldest >= LONG_DAYS ? 'medium' : 'low',
      kind: 'undescribed',
      refs: [...named.map(({ ref }) => ref), ...(rest > 0 ? [`and ${rest} more`] : [])],
      text: `${items.length} ${items.length === 1 ? 'item has' : 'items have'} not been described, the oldest for ${oldest} days: they are not callable`,
      next: `Describe what is needed: remit tool describe ${named[0]?.ref ?? connector}`,
      ...(owner !== undefined && { owner }),
    } as const;
  });
}
