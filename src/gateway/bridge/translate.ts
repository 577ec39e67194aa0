import { RPC } from '../../domain/era.ts';
import { isJsonObject } from '../../domain/json.ts';
import type { ErrorReply, RpcError, UpstreamReply } from '../../seams/upstream.ts';
import { editMembers, withHead, withHeadInChunks } from './edit-members.ts';

/** Members that only modern results have. */
const MODERN_MEMBERS = ['resultType', 'ttlMs', 'cacheScope', 'inputRequests', 'requestState'] as const;

/** Results that a client may keep (2026-07-28, caching): they must say for how long. Ours may not be kept, and by nobody else. */
const CACHEABLE = new Set([
  'resources/read',
  'resources/list',
  'resources/templates/list',
  'tools/list',
  'prompts/list',
  'server/discover',
]);

const COMPLETE = '"resultType":"complete"';
const COMPLETE_AND_PRIVATE = `${COMPLETE},"ttlMs":0,"cacheScope":"private"`;

/** A legacy upstream's reply, for a modern client. */
export function toModern(method: string, uri: unknown, reply: UpstreamReply): UpstreamReply {
  if ('error' in reply) return { error: modernError(uri, reply.error) };
  const head = CACHEABLE.has(method) ? COMPLETE_AND_PRIVATE : COMPLETE;
  if ('resultChunks' in reply) return { ...reply, resultChunks: withHeadInChunks(reply.resultChunks, head) };
  const { result, resultText } = reply;
  // In a legacy result these words mean nothing. Left in, a modern client would obey them: a round that nobody decided on.
  const text = MODERN_MEMBERS.some((name) => name in result)
    ? editMembers(resultText, Object.fromEntries(MODERN_MEMBERS.map((name) => [name, null])))
    : resultText;
  return { result, resultText: withHead(text, head) };
}

/** A modern upstream's complete reply, for a legacy client. */
export function toLegacy(reply: UpstreamReply): UpstreamReply {
  if ('error' in reply) return { error: legacyError(reply.error) };
  // What a legacy client does not know it skips: not worth holding up a large result for.
  if ('resultChunks' in reply) return reply;
  const { result, resultText } = reply;
  const edits: Record<string, null> = {};
  let isChanged = false;
  for (const name of MODERN_MEMBERS) {
    if (!(name in result)) continue;
    edits[name] = null;
    isChanged = true;
  }
  // Any value since 2026-07-28, an object before; the same is in `content`, as text.
  if ('structuredContent' in result && !isJsonObject(result.structuredContent)) {
    edits.structuredContent = null;
    isChanged = true;
  }
  return isChanged ? { result, resultText: editMembers(resultText, edits) } : reply;
}

function modernError(uri: unknown, error: RpcError): RpcError {
  if (error.code !== RPC.resourceNotFound) return error;
  const data = isJsonObject(error.data) && typeof error.data.uri === 'string' ? error.data : { uri };
  return { code: RPC.invalidParams, message: error.message, data };
}

function legacyError(error: RpcError): RpcError {
  if (error.code === RPC.invalidParams && isJsonObject(error.data) && typeof error.data.uri === 'string') {
    return { code: RPC.resourceNotFound, message: error.message, data: error.data };
  }
  return withoutModernCode(error);
}

/** Errors that mean something to a modern client only. */
function withoutModernCode(error: RpcError): RpcError {
  const isModern = error.code <= RPC.headerMismatch && error.code >= -32099;
  if (!isModern) return error;
  return { code: RPC.internal, message: `the connector refused the call (${error.code}): ${error.message}` };
}

/**
 * Errors about the hop between gateway and connector, which a client would take as being about its own: one that is told
 * UnsupportedProtocolVersion starts again in another era.
 */
export function withoutHopError(error: RpcError): RpcError {
  return error.code === RPC.headerMismatch || error.code === RPC.unsupportedVersion ? withoutModernCode(error) : error;
}

export function failed(message: string, code: number = RPC.internal): ErrorReply {
  return { error: { code, message } };
}
