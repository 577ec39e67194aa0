import { createHash } from 'node:crypto';
import type { ConnectorId } from '../domain/ids.ts';
import type { GovernedTool } from '../domain/tool.ts';

const MAX_NAME = 64;

/**
 * The name under which clients of `/mcp` see a tool or a prompt: `connector__name`, `[a-z0-9_]` only, at most 64 characters. Prefixed by the
 * registry's id, never by what the server calls itself, so that no server can shadow another's item (attack A21). A name that had
 * to be changed beyond case and hyphens, or cut, or that would be another's (`isTaken`), gets a short hash of the original.
 */
export function exposeName(connector: ConnectorId, name: string, isTaken = false): string {
  const plain = name.toLowerCase().replace(/-/g, '_');
  const safe = plain.replace(/[^a-z0-9_]/g, '_');
  const exposed = `${connector}__${safe}`;
  if (safe === plain && exposed.length <= MAX_NAME && !isTaken) return exposed;
  const suffix = `_${createHash('sha256').update(name).digest('hex').slice(0, 8)}`;
  return `${exposed.slice(0, MAX_NAME - suffix.length)}${suffix}`;
}

/** What every client takes for a name, and no person for another one. */
const PLAIN_NAME = /^[A-Za-z0-9_./-]{1,128}$/;

/**
 * The name on a path: prefixed on the path of all connectors; on a connector's own path the server's own where it is a plain one, else the
 * exposed one without the prefix.
 */
export function shownName({ connector, name, exposedName }: GovernedTool, scope: ConnectorId | undefined): string {
  if (scope === undefined) return exposedName;
  return PLAIN_NAME.test(name) ? name : exposedName.slice(connector.length + 2);
}
