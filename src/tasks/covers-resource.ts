/**
 * Whether one resource pattern of a template covers a declared one. A pattern is exact, or ends in `*` and then covers
 * everything that starts with what stands before it; the `connector:` part is never a wildcard. A declared wildcard is
 * covered by a shorter or equal one, never by an exact name.
 */
export function coversResource(pattern: string, declared: string): boolean {
  if (pattern === declared) return true;
  if (!pattern.endsWith('*')) return false;
  const prefix = pattern.slice(0, -1);
  return prefix.includes(':') && declared.startsWith(prefix);
}

const RESOURCE = /^[a-z][a-z0-9_]{0,30}:.+$/su;

/**
 * Why a declared resource is not well formed, or undefined. `.` and `..` segments are refused because a prefix would
 * cover them as text while the downstream reads them as another place.
 */
export function resourceFault(declared: string): string | undefined {
  if (!RESOURCE.test(declared)) return 'a resource is named connector:path';
  const path = declared.slice(declared.indexOf(':') + 1);
  if (path.slice(0, -1).includes('*')) return 'a * stands only at the end of a resource';
  if (path.includes('\\')) return 'a resource holds no backslash';
  if (path.split('/').some((segment) => segment === '.' || segment === '..')) {
    return 'a resource holds no . or .. segment';
  }
  return undefined;
}
