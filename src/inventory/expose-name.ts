import { createHash } from 'node:crypto';
import type { ConnectorId } from '../domain/ids.ts';

const MAX_NAME = 64;

/**
 * The name under which clients see a tool: `connector__tool`, `[a-z0-9_]` only, at most 64 characters. Prefixed by the
 * registry's id, never by what the server calls itself, so that no server can shadow another's tool. A name that had
 * to be changed beyond case and hyphens, or cut, or that would be another's (`isTaken`), gets a short hash of the original.
 */
export function exposeName(connector: ConnectorId, tool: string, isTaken = false): string {
  const plain = tool.toLowerCase().replace(/-/g, '_');
  const safe = plain.replace(/[^a-z0-9_]/g, '_');
  const name = `${connector}__${safe}`;
  if (safe === plain && name.length <= MAX_NAME && !isTaken) return name;
  const suffix = `_${createHash('sha256').update(tool).digest('hex').slice(0, 8)}`;
  return `${name.slice(0, MAX_NAME - suffix.length)}${suffix}`;
}
