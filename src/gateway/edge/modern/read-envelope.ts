import { META, MODERN_VERSION } from '../../../domain/era.ts';
import { isJsonObject, type JsonObject } from '../../../domain/json.ts';

/** What a modern request says of itself in `params._meta`. `clientInfo` is not read: it is the client's own word, and decides nothing. */
export interface Envelope {
  readonly capabilities: JsonObject;
  readonly logLevel: string | undefined;
  readonly progressToken: string | number | undefined;
}

/** In rising order of severity (RFC 5424). */
const LOG_LEVELS: readonly string[] = ['debug', 'info', 'notice', 'warning', 'error', 'critical', 'alert', 'emergency'];

/**
 * Reads the envelope of a request (2026-07-28, per-request metadata). A missing or malformed required key is the client's fault: −32602
 * with HTTP 400.
 */
export function readEnvelope(params: JsonObject): Envelope | { readonly problem: string } {
  const meta = params._meta;
  if (!isJsonObject(meta)) return { problem: 'params._meta is missing or no object' };
  if (meta[META.protocolVersion] !== MODERN_VERSION) return { problem: `params._meta lacks ${META.protocolVersion}` };
  const capabilities = meta[META.clientCapabilities];
  if (!isJsonObject(capabilities)) return { problem: `params._meta lacks ${META.clientCapabilities}, an object` };
  const logLevel = meta[META.logLevel];
  if (logLevel !== undefined && !isLogLevel(logLevel)) {
    return { problem: `${META.logLevel} must be one of ${LOG_LEVELS.join(', ')}` };
  }
  const { progressToken } = meta;
  if (progressToken !== undefined && typeof progressToken !== 'string' && typeof progressToken !== 'number') {
    return { problem: 'progressToken must be a string or a number' };
  }
  return { capabilities, logLevel, progressToken };
}

function isLogLevel(value: unknown): value is string {
  return typeof value === 'string' && LOG_LEVELS.includes(value);
}

/** Whether a message of that level is wanted by who asked for `least`. An unknown level is not. */
export function isWanted(level: unknown, least: string): boolean {
  return isLogLevel(level) && LOG_LEVELS.indexOf(level) >= LOG_LEVELS.indexOf(least);
}
