import { isJsonObject } from '../../domain/json.ts';
import type { ExternalAnswer } from '../../seams/external-policy.ts';
import { readReason } from './read-reason.ts';

/**
 * The value of a rule: `true` or `false`, or an object with `allow`, and perhaps `reason` and `step_up`. A rule without a value, which OPA leaves
 * out of its answer, is no decision.
 */
export function readResult(result: unknown): ExternalAnswer {
  if (typeof result === 'boolean') return { isPermitted: result, reason: undefined, stepUp: undefined };
  if (result === undefined) throw new Error('the rule has no value for this question');
  if (!isJsonObject(result) || typeof result.allow !== 'boolean') throw new Error('the rule gave no decision');
  const { allow, reason, step_up: stepUp } = result;
  if (stepUp !== undefined && typeof stepUp !== 'string') throw new Error('its step_up is no text');
  return { isPermitted: allow, reason: readReason(reason), stepUp };
}
