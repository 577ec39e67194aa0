import { hash } from 'node:crypto';
import { isJsonObject } from '../../domain/json.ts';
import type { ClientRequest } from '../client-request.ts';

/** What a retry may change: the envelope, and its answers. */
const NOT_PART = new Set(['_meta', 'inputResponses', 'requestState']);

/**
 * Digest of what a request asks for: endpoint, method, parameters without what a multi-round-trip retry adds. A retry must be the same request
 * (A47); members may come in another order.
 */
export function requestDigest(request: ClientRequest): string {
  const members = Object.entries(request.params).filter(([name]) => !NOT_PART.has(name));
  return hash('sha256', canonical([request.scope ?? null, request.method, Object.fromEntries(members)]), 'base64url');
}

function canonical(value: unknown): string {
  if (Array.isArray(value)) return `[${value.map(canonical).join(',')}]`;
  if (!isJsonObject(value)) return JSON.stringify(value) ?? 'null';
  const names = Object.keys(value).sort();
  return `{${names.map((name) => `${JSON.stringify(name)}:${canonical(value[name])}`).join(',')}}`;
}
