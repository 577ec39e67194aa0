import { MODERN_VERSION, RPC } from '../../domain/era.ts';
import { isJsonObject, type JsonObject } from '../../domain/json.ts';
import type { UpstreamReply } from '../../seams/upstream.ts';
import { notificationText } from './json-rpc.ts';
import { protocolFault } from './upstream-faults.ts';

/** How a connection of either era begins, seen from the client. */

export interface ClientInfo {
  readonly name: string;
  readonly version: string;
}

/** What was agreed on. */
export interface Agreement {
  /** Revision. */
  readonly version: string;
  /** Of the server, as it declared them. */
  readonly capabilities: JsonObject;
}

/** Offered first; a server may answer with any revision of the list. */
const OFFERED_VERSION = '2025-11-25';
const ACCEPTED_VERSIONS: readonly unknown[] = ['2024-10-07', '2024-11-05', '2025-03-26', '2025-06-18', OFFERED_VERSION];

export const INITIALIZED = notificationText('notifications/initialized');

/**
 * Members of `params` of `initialize`, without braces (MCP lifecycle, ≤ 2025-11-25).
 * @param capabilities what the server may ask the client for
 */
export function initializeParams(clientInfo: ClientInfo, capabilities: JsonObject): string {
  const { name, version } = clientInfo;
  return JSON.stringify({ protocolVersion: OFFERED_VERSION, capabilities, clientInfo: { name, version } }).slice(1, -1);
}

/**
 * What the server chose in its reply to `initialize`.
 * @param redact takes out of the server's own words whatever must not be shown
 * @throws `ERR_CONNECTOR_PROTOCOL` where it refused, or chose one that we do not speak
 */
export function readInitialized(reply: UpstreamReply, where: string, redact: (text: string) => string): Agreement {
  const hint = `The server must speak an MCP revision with an initialize handshake, up to ${OFFERED_VERSION}.`;
  const result = resultOf(reply, where, redact, hint);
  const version = result.protocolVersion;
  if (typeof version !== 'string' || !ACCEPTED_VERSIONS.includes(version)) {
    throw protocolFault('The server chose a protocol revision that is not supported', { where, hint });
  }
  return { version, capabilities: isJsonObject(result.capabilities) ? result.capabilities : {} };
}

/**
 * What the server told of itself in its reply to `server/discover` (2026-07-28).
 * @throws `ERR_CONNECTOR_PROTOCOL` where it refused, or does not list the modern revision
 */
export function readDiscovered(reply: UpstreamReply, where: string, redact: (text: string) => string): Agreement {
  const hint = `The server must speak MCP ${MODERN_VERSION}.`;
  const { supportedVersions, capabilities } = resultOf(reply, where, redact, hint);
  if (!Array.isArray(supportedVersions) || !supportedVersions.includes(MODERN_VERSION)) {
    throw protocolFault('The server does not list the protocol revision that it was asked in', { where, hint });
  }
  return { version: MODERN_VERSION, capabilities: isJsonObject(capabilities) ? capabilities : {} };
}

/** Whether a reply to a first request says that the server speaks the other era only. */
export function saysOtherEra(reply: UpstreamReply, asked: 'initialize' | 'server/discover'): boolean {
  if ('error' in reply) {
    const { code, data } = reply.error;
    if (code === RPC.unsupportedVersion && isJsonObject(data) && Array.isArray(data.supported)) {
      // It says itself what it speaks.
      return data.supported.includes(MODERN_VERSION) === (asked === 'initialize');
    }
    return (
      code === RPC.methodNotFound ||
      code === RPC.unsupportedVersion ||
      code === RPC.headerMismatch ||
      // A legacy server that wants a handshake first has no code of its own for that.
      (asked === 'server/discover' &&
        (code === RPC.invalidRequest || code === RPC.invalidParams || (code >= -32099 && code <= -32000)))
    );
  }
  if (!('result' in reply)) return false;
  if (asked === 'initialize') return reply.result.protocolVersion === MODERN_VERSION;
  const { supportedVersions } = reply.result;
  return !Array.isArray(supportedVersions) || !supportedVersions.includes(MODERN_VERSION);
}

function resultOf(reply: UpstreamReply, where: string, redact: (text: string) => string, hint: string): JsonObject {
  if ('result' in reply) return reply.result;
  if (!('error' in reply)) throw protocolFault('The server introduces itself with too many words', { where, hint });
  const said = redact(reply.error.message).slice(0, 200);
  throw protocolFault(`The server refused to open a connection (${reply.error.code}): ${said}`, { where, hint });
}
