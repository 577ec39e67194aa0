import { RPC } from '../../domain/era.ts';
import type { JsonObject } from '../../domain/json.ts';
import type { SmallResult } from '../../seams/upstream.ts';
import type { ClientRequest, MethodAnswer } from '../client-request.ts';

/** A result of the gateway's own, kept as text: whoever wants to look into it pays for that. */
export class OwnResult implements SmallResult {
  readonly resultText: string;

  constructor(resultText: string) {
    this.resultText = resultText;
  }

  get result(): JsonObject {
    return JSON.parse(this.resultText) as JsonObject;
  }
}

const LEGACY_EMPTY: MethodAnswer = { reply: new OwnResult('{}') };
const MODERN_EMPTY: MethodAnswer = { reply: new OwnResult('{"resultType":"complete"}') };

export const emptyAnswer = ({ era }: Pick<ClientRequest, 'era'>): MethodAnswer =>
  era === 'modern' ? MODERN_EMPTY : LEGACY_EMPTY;

/**
 * A list of the gateway's own. What one principal may see is no other one's to keep, and a right that ends must not live on in a client's
 * memory (2026-07-28, caching; guarantee V2).
 * @param members JSON text of the members, without braces
 */
export function listAnswer({ era }: Pick<ClientRequest, 'era'>, members: string): MethodAnswer {
  const head = era === 'modern' ? '"resultType":"complete","ttlMs":0,"cacheScope":"private",' : '';
  return { reply: new OwnResult(`{${head}${members}}`) };
}

export function invalidParams(message: string, data?: JsonObject): MethodAnswer {
  return { reply: { error: { code: RPC.invalidParams, message, ...(data && { data }) } } };
}
