import type { BearerChallenge } from './challenge.ts';
import { refused } from './refused.ts';

export interface ScopeSources {
  /** Named by the owner, now or in the configuration. */
  readonly wanted: readonly string[];
  readonly challenge: BearerChallenge | undefined;
  /** Of the resource's metadata. */
  readonly ofResource: readonly string[] | undefined;
  /** Of the authorization server's metadata. */
  readonly ofServer: readonly string[] | undefined;
  /** What the last authorization gave, and what the server has found missing since; undefined where there is none. */
  readonly held: readonly string[] | undefined;
  readonly missing: readonly string[] | undefined;
}

const OFFLINE = 'offline_access';

/**
 * Scopes to ask for: what the owner names, else what the challenge does, else what the resource lists, else none (MCP authorization, scope
 * selection strategy). A step-up asks for what was given and what was missing, together.
 * @throws `ERR_AUTHORIZATION_REFUSED` where what was missing had been given already: asking again would come to the same
 */
export function chooseScopes(sources: ScopeSources, connectorUrl: string): readonly string[] {
  const { wanted, challenge, ofResource, ofServer, held, missing } = sources;
  const isStepUp = missing !== undefined && held !== undefined;
  if (isStepUp && missing.every((scope) => held.includes(scope)) && wanted.every((scope) => held.includes(scope))) {
    throw refused(
      `it wants the scopes ${missing.join(' ')}, and was shown a token that has them`,
      connectorUrl,
      'Authorising again would give the same. Tell who runs the server; or name other scopes with --scope.',
    );
  }
  const chosen = wanted.length > 0 ? wanted : (challenge?.scopes ?? ofResource ?? []);
  const all = new Set([...(isStepUp ? [...held, ...missing] : []), ...chosen]);
  // SEP-2207: asked for only where it is offered.
  if (ofServer?.includes(OFFLINE)) all.add(OFFLINE);
  else if (!wanted.includes(OFFLINE)) all.delete(OFFLINE);
  return [...all];
}
