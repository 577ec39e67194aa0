import { RemitError } from '../../domain/errors.ts';
import type { ActionClass } from '../../domain/tool.ts';

/** What a task's classes and resources come to at an authorization server, as its owner configured. */
export interface OauthScopeMap {
  /** Scopes by action class; a class that is not named opens nothing. */
  readonly classes: Readonly<Partial<Record<ActionClass, readonly string[]>>>;
  /** Scopes by resource, with a `*` at the end for all that start so. Undefined: resources do not narrow. */
  readonly resources: Readonly<Record<string, readonly string[]>> | undefined;
}

/**
 * Scopes that a lease asks for: those of its classes, and of these only the ones that one of its resources has too. Never empty but for the
 * gateway's own discovery, which asks for none.
 * @throws `ERR_CREDENTIAL_ISSUE` where nothing remains
 */
export function oauthScopes(
  map: OauthScopeMap,
  resources: readonly string[],
  classes: readonly ActionClass[],
): readonly string[] {
  if (classes.length === 0 && resources.length === 0) return [];
  const ofClasses = new Set(classes.flatMap((name) => map.classes[name] ?? []));
  if (ofClasses.size === 0) {
    throw new RemitError('ERR_CREDENTIAL_ISSUE', `action classes ${classes.join(', ') || '(none)'} come to no scope`, {
      hint: 'Name the scopes of the class in credential.oauth.scopes, or take the class out of the task.',
    });
  }
  if (map.resources === undefined) return [...ofClasses].toSorted();
  const ofResources = new Set(resources.flatMap((resource) => scopesOf(map.resources ?? {}, resource)));
  const both = [...ofClasses].filter((scope) => ofResources.has(scope));
  if (both.length > 0) return both.toSorted();
  throw new RemitError('ERR_CREDENTIAL_ISSUE', 'the task’s resources and action classes have no scope in common', {
    hint: 'Name the resource in the task and its scopes in credential.oauth.resources.',
  });
}

/** Of all entries that cover a resource. A task's own `*` needs an entry at least as wide. */
function scopesOf(entries: Readonly<Record<string, readonly string[]>>, resource: string): readonly string[] {
  return Object.entries(entries).flatMap(([pattern, scopes]) => (covers(pattern, resource) ? scopes : []));
}

/** Whether a pattern of configuration (a name, or `*` behind the beginning of one) takes in a resource of a task. */
export function covers(pattern: string, resource: string): boolean {
  return pattern.endsWith('*') ? resource.startsWith(pattern.slice(0, -1)) : pattern === resource;
}
