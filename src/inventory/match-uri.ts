import type { ConnectorId } from '../domain/ids.ts';
import type { GovernedTool } from '../domain/tool.ts';
import { bestMatch, checkUri, compileUriPattern, matchesUri, type UriPattern } from '../domain/uri-pattern.ts';

/** A described resource with its pattern compiled. */
export interface RoutedResource {
  readonly item: GovernedTool;
  readonly pattern: UriPattern;
}

/** A URI that several connectors describe: nobody's, until their owners agree. */
export interface Ambiguous {
  readonly ambiguous: readonly ConnectorId[];
}

export const toRouted = (item: GovernedTool): RoutedResource => ({ item, pattern: compileUriPattern(item.name) });

/**
 * The described resource that a URI belongs to: the most exact one of the only connector that describes it. A URI that can be read in more
 * than one way belongs to nobody (guarantee D4).
 * @param scope on a connector's own path, that connector: no other is asked
 */
export function routeUri(
  described: ReadonlyMap<ConnectorId, readonly RoutedResource[]>,
  uri: string,
  scope: ConnectorId | undefined,
): GovernedTool | Ambiguous | undefined {
  if (checkUri(uri) !== undefined) return undefined;
  const found: GovernedTool[] = [];
  for (const [connector, resources] of described) {
    if (scope !== undefined && connector !== scope) continue;
    const best = bestMatch(resources, (pattern) => matchesUri(pattern, uri));
    if (best !== undefined) found.push(best.item);
  }
  return found.length > 1 ? { ambiguous: found.map(({ connector }) => connector) } : found[0];
}
