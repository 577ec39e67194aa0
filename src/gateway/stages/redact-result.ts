import { isJsonObject, type JsonObject, mapTexts } from '../../domain/json.ts';
import { isRefused, type Refused, refuse } from '../../domain/refusal.ts';
import type { ResultRules } from '../../domain/tool.ts';
import type { ErrorReply, LargeResult, SmallResult } from '../../seams/upstream.ts';
import { truncate } from '../redaction/limit-size.ts';
import { MASK, type MemberCounts, redactMembers } from '../redaction/redact-members.ts';
import { maskSecrets } from '../redaction/secret-formats.ts';

/** What was taken out, for the outcome's record: counts and sizes, never a value. */
export interface Redacted extends Partial<MemberCounts> {
  /** By format. */
  readonly secrets?: Readonly<Record<string, number>>;
  /** Bytes that it had before it was cut or refused. */
  readonly bytes?: number;
}

/**
 * The rules of a profile on what comes back, before the agent sees it (and before anything is learnt from it). Never throws: what cannot be looked
 * at is not passed on.
 */
export function redactResult(
  reply: SmallResult | ErrorReply | Refused,
  rules: ResultRules,
): { readonly reply: SmallResult | ErrorReply | Refused; readonly redacted: Redacted | undefined } {
  if (isRefused(reply)) return { reply, redacted: undefined };
  try {
    return 'error' in reply ? redactError(reply, rules) : redactSmall(reply, rules);
  } catch {
    return { reply: NOT_PASSED, redacted: undefined };
  }
}

/** Of a result that goes through in pieces nothing can be taken out: with rules it is not passed on. */
export async function refuseLarge({ resultChunks }: LargeResult): Promise<Refused> {
  try {
    // Leaving the iteration ends the exchange; one that was never begun would go on.
    for await (const _ of resultChunks) break;
  } catch {
    // It has broken off by itself.
  }
  return NOT_PASSED;
}

/** The call was made, and what came of it is kept back. */
export const keptBack = (reason: string, next = 'Ask for less.'): Refused =>
  refuse({
    kind: 'unavailable',
    code: 'ERR_CONNECTOR_PROTOCOL',
    reason,
    nextStep: `The call may have had its effect: check before calling again. ${next}`,
    isForwarded: true,
  });

const NOT_PASSED = keptBack(
  'the result is too large, or nested too deep, to be looked through as its owner wants it to be',
);

function redactError(reply: ErrorReply, { masksSecrets }: ResultRules) {
  if (!masksSecrets) return { reply, redacted: undefined };
  const secrets: Record<string, number> = {};
  const error = maskWithin(reply.error, secrets) as ErrorReply['error'];
  return Object.keys(secrets).length === 0
    ? { reply, redacted: undefined }
    : { reply: { error }, redacted: { secrets } };
}

function redactSmall(reply: SmallResult, rules: ResultRules) {
  const counts: MemberCounts = { masked: 0, dropped: 0 };
  const secrets: Record<string, number> = {};
  let result = reply.result;
  if (rules.drop.length + rules.mask.length > 0) result = redactParts(result, rules, counts);
  if (rules.masksSecrets) result = maskWithin(result, secrets) as JsonObject;
  const found = Object.keys(secrets).length > 0;
  const isChanged = found || counts.masked + counts.dropped > 0;
  let resultText = isChanged ? JSON.stringify(result) : reply.resultText;
  if (!isChanged) result = reply.result;
  const redacted: Redacted = {
    ...(counts.masked > 0 && { masked: counts.masked }),
    ...(counts.dropped > 0 && { dropped: counts.dropped }),
    ...(found && { secrets }),
  };
  const { maxBytes } = rules;
  const bytes = maxBytes === undefined ? 0 : Buffer.byteLength(resultText);
  if (maxBytes !== undefined && bytes > maxBytes) {
    const cut = rules.over === 'truncate' ? truncate(result, bytes, maxBytes) : undefined;
    if (cut === undefined) return { reply: tooLarge(bytes, maxBytes), redacted: { ...redacted, bytes } };
    result = cut;
    resultText = JSON.stringify(cut);
    return { reply: { result, resultText }, redacted: { ...redacted, bytes } };
  }
  return isChanged ? { reply: { result, resultText }, redacted } : { reply, redacted: undefined };
}

const tooLarge = (bytes: number, maxBytes: number): Refused =>
  keptBack(`the result has ${bytes} bytes, and its owner lets ${maxBytes} through`);

/** Structured content, and each text, which is JSON: one that is not cannot be looked through for members, and is masked whole. */
function redactParts(result: JsonObject, rules: ResultRules, counts: MemberCounts): JsonObject {
  const changed: Record<string, unknown> = { ...result };
  if (result.structuredContent !== undefined) {
    changed.structuredContent = redactMembers(result.structuredContent, rules, counts);
  }
  for (const name of ['content', 'contents'] as const) {
    const parts = result[name];
    if (Array.isArray(parts)) changed[name] = parts.map((part) => redactPart(part, rules, counts));
  }
  return changed;
}

function redactPart(part: unknown, rules: ResultRules, counts: MemberCounts): unknown {
  if (!isJsonObject(part)) return part;
  if (isJsonObject(part.resource)) return { ...part, resource: redactPart(part.resource, rules, counts) };
  if (typeof part.text !== 'string') return part;
  const own: MemberCounts = { masked: 0, dropped: 0 };
  let value: unknown;
  try {
    value = JSON.parse(part.text);
  } catch {
    counts.masked += 1;
    return { ...part, text: MASK };
  }
  const redacted = redactMembers(value, rules, own);
  counts.masked += own.masked;
  counts.dropped += own.dropped;
  return own.masked + own.dropped === 0 ? part : { ...part, text: JSON.stringify(redacted) };
}

/** @throws RangeError when it is nested too deep */
function maskWithin(value: unknown, found: Record<string, number>): unknown {
  const mask = (text: string): string => maskSecrets(text, found);
  return mapTexts(value, mask, mask);
}
