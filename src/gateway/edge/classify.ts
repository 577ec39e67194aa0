import { type Era, META, MODERN_VERSION, PROTOCOL_VERSIONS, RPC } from '../../domain/era.ts';
import { isJsonObject, type JsonObject } from '../../domain/json.ts';

/** Why no era can be told. Answered with HTTP 400. */
export interface EraProblem {
  readonly code: number;
  readonly reason: string;
  readonly data?: JsonObject;
}

/**
 * The era of a POST's body: modern where the `MCP-Protocol-Version` header or the envelope in `params._meta` says so, and for
 * `server/discover`, which no legacy client knows. The two must agree before either is believed (attack A13).
 * @param version value of the `MCP-Protocol-Version` header
 */
export function classify(body: unknown, version: string | undefined): Era | EraProblem {
  if (Array.isArray(body)) return classifyBatch(body, version);
  const claimed = claimedVersion(body);
  // A claim that is no text is left to the envelope's check, which names what is wrong.
  if (typeof claimed === 'string') {
    if (version !== undefined && version !== claimed) {
      return {
        code: RPC.headerMismatch,
        reason: 'header MCP-Protocol-Version differs from the body’s protocolVersion',
      };
    }
    if (claimed === MODERN_VERSION) return 'modern';
    if (!PROTOCOL_VERSIONS.includes(claimed)) return unsupported(claimed);
    return { code: RPC.invalidParams, reason: `revision ${claimed} has no envelope in _meta: begin with initialize` };
  }
  if (version === MODERN_VERSION || claimed !== undefined) return 'modern';
  if (version !== undefined && !PROTOCOL_VERSIONS.includes(version)) return unsupported(version);
  return isJsonObject(body) && body.method === 'server/discover' ? 'modern' : 'legacy';
}

function classifyBatch(batch: readonly unknown[], version: string | undefined): Era | EraProblem {
  if (version === MODERN_VERSION || batch.some((one) => claimedVersion(one) !== undefined)) {
    return {
      code: RPC.invalidRequest,
      reason: `revision ${MODERN_VERSION} has no batches: send one message a request`,
    };
  }
  return version === undefined || PROTOCOL_VERSIONS.includes(version) ? 'legacy' : unsupported(version);
}

function claimedVersion(body: unknown): unknown {
  if (!isJsonObject(body)) return undefined;
  const { params } = body;
  if (!isJsonObject(params)) return undefined;
  const meta = params._meta;
  return isJsonObject(meta) ? meta[META.protocolVersion] : undefined;
}

export function unsupported(requested: string): EraProblem {
  const shown = requested.slice(0, 40);
  return {
    code: RPC.unsupportedVersion,
    reason: `protocol version ${shown} is not supported`,
    data: { supported: PROTOCOL_VERSIONS, requested: shown },
  };
}
