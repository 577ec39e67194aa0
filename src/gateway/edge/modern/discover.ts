import { META, PROTOCOL_VERSIONS } from '../../../domain/era.ts';
import type { JsonObject } from '../../../domain/json.ts';
import type { Offer } from './modern-parts.ts';

/** How long a client may keep what was offered: it changes with the configuration, which is read at a start. Milliseconds. */
const TTL_MS = 60_000;

/** MCP `Implementation`: who answers. */
export function serverInfo(version: string): JsonObject {
  return { name: 'remit', title: 'Remit', version };
}

/** JSON text of the result of `server/discover`. Private: what is offered varies with the task. */
export function discoverResult({ capabilities, instructions }: Offer, version: string): string {
  return JSON.stringify({
    resultType: 'complete',
    supportedVersions: PROTOCOL_VERSIONS,
    capabilities,
    instructions,
    ttlMs: TTL_MS,
    cacheScope: 'private',
    _meta: { [META.serverInfo]: serverInfo(version) },
  });
}
