import { isJsonObject, type JsonObject } from '../../domain/json.ts';
import type { ErrorReply } from '../../seams/upstream.ts';
import { type FeatureSet, isQuestionMethod, missingCapability, missingFeatures } from './client-features.ts';
import { failed } from './translate.ts';

/** Requests to which 2026-07-28 lets a server answer `input_required`. */
export const ROUND_METHODS: ReadonlySet<string> = new Set(['tools/call', 'prompts/get', 'resources/read']);

/** Questions of one round; a server that asks more at once is not serving anybody. */
export const MAX_QUESTIONS = 16;

/**
 * Whether everything that a modern upstream asks for in one round may be asked: the whole round fails otherwise, as the server cannot go on
 * with a part of it.
 * @param declared what the client can answer
 * @param allowed what the connector's owner lets it ask for (attack A43)
 * @returns why not
 */
export function refuseRound(
  connector: string,
  inputRequests: JsonObject,
  declared: FeatureSet,
  allowed: FeatureSet,
): ErrorReply | undefined {
  const requests = Object.values(inputRequests);
  if (requests.length > MAX_QUESTIONS) return failed(`${connector} asked ${requests.length} questions at once`);
  for (const asked of requests) {
    if (!isJsonObject(asked) || !isQuestionMethod(asked.method))
      return failed(`${connector} asked what is no question`);
    const params = isJsonObject(asked.params) ? asked.params : {};
    if (missingFeatures(allowed, asked.method, params) !== 0) {
      return failed(`${connector} asked for ${asked.method}, which its owner has not allowed`);
    }
    const missing = missingFeatures(declared, asked.method, params);
    if (missing !== 0) return { error: missingCapability(missing) };
  }
  return undefined;
}
