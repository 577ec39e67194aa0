import { isJsonObject } from '../../domain/json.ts';
import type { ExternalAnswer, ExternalPolicy } from '../../seams/external-policy.ts';
import { type Endpoint, postJson } from './post-json.ts';
import { readReason } from './read-reason.ts';

/**
 * A decision point that speaks the AuthZEN Authorization API 1.0: one question to `/access/v1/evaluation` (section 6), several in one request to
 * `/access/v1/evaluations` (section 7), of which it must answer each.
 */
export function createAuthZenPolicy(endpoint: Endpoint): ExternalPolicy {
  const base = endpoint.url.replace(/\/+$/, '');
  return {
    async ask(questions, signal) {
      const [only, ...others] = questions;
      if (only === undefined) return [];
      if (others.length === 0) {
        return [readAnswer(await postJson(endpoint, `${base}/access/v1/evaluation`, only, signal))];
      }
      // A list of its own for each: defaults at the top would be merged by the other side's reading of the section.
      const body = { evaluations: questions, options: { evaluations_semantic: 'execute_all' } };
      const said = await postJson(endpoint, `${base}/access/v1/evaluations`, body, signal);
      if (!isJsonObject(said) || !Array.isArray(said.evaluations)) throw new Error('it gave no evaluations');
      return said.evaluations.map(readAnswer);
    },
    close: () => Promise.resolve(),
  };
}

function readAnswer(said: unknown): ExternalAnswer {
  if (!isJsonObject(said) || typeof said.decision !== 'boolean') throw new Error('it gave no decision');
  const context = said.context ?? {};
  if (!isJsonObject(context)) throw new Error('its context is no object');
  const { step_up: stepUp, reason_user: user, reason } = context;
  if (stepUp !== undefined && typeof stepUp !== 'string') throw new Error('its step_up is no text');
  return { isPermitted: said.decision, reason: readReason(user ?? reason), stepUp };
}
