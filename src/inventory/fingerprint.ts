import { createHash } from 'node:crypto';
import { canonicalJson } from '../domain/json.ts';

/**
 * Fingerprint of a whole tool definition: name, description, schemas, annotations and every nested text. Canonical JSON
 * (keys sorted, RFC 8785 order for the keys we meet), so that a server that only reorders keys is not seen as changed.
 */
export function fingerprint(definition: unknown): string {
  return `sha256:${createHash('sha256').update(canonicalJson(definition)).digest('hex')}`;
}
