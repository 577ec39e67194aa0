import type { AccessRequest } from '../../domain/decision.ts';
import type { StepUpTerms } from '../../domain/step-up.ts';
import type { PolicyAnswer } from '../../seams/policy-engine.ts';
import type { LoadedPolicy } from './load-policies.ts';

/** The answer that these policies determine, in the order of loading; at least one. */
export function answerOf(determining: readonly LoadedPolicy[], verdict: PolicyAnswer['verdict']): PolicyAnswer {
  const ids = determining.map(({ id }) => id);
  const reason = determining.find((policy) => policy.reason !== undefined)?.reason;
  const answer: PolicyAnswer = Object.freeze({
    verdict,
    policies: Object.freeze(ids),
    reason: reason ?? `${verdict === 'permit' ? 'Permitted' : 'Forbidden'} by policy ${ids.join(', ')}.`,
    nextStep: determining.find((policy) => policy.nextStep !== undefined)?.nextStep,
    ...(verdict === 'deny' && determining.every(({ stepUp }) => stepUp === undefined) && { isJudged: true }),
  });
  const terms = verdict === 'deny' ? determining.flatMap(({ stepUp }) => stepUp ?? []) : [];
  if (terms.length > 0 && terms.length === determining.length) held.set(answer, heldAnswer(answer, terms));
  return answer;
}

/** Of a denial by policies that can all be lifted: the hold that it is when something permits the call. Of no other answer. */
const held = new WeakMap<PolicyAnswer, PolicyAnswer>();

export const holdOf = (answer: PolicyAnswer): PolicyAnswer | undefined => held.get(answer);

function heldAnswer(denied: PolicyAnswer, terms: readonly StepUpTerms[]): PolicyAnswer {
  return Object.freeze({ ...denied, verdict: 'step_up', terms: Object.freeze(terms) });
}

export function denyByDefault({ subject, action, resource }: AccessRequest): PolicyAnswer {
  const verb = action === 'discover' ? 'list' : 'call';
  return Object.freeze({
    verdict: 'deny',
    policies: [],
    reason: `No policy permits the ${subject.kind} ${subject.id} to ${verb} ${resource.tool}.`,
    nextStep: undefined,
    isJudged: true,
  });
}

export function refuse(reason: string, nextStep: string, policies: readonly string[] = []): PolicyAnswer {
  return { verdict: 'deny', policies, reason, nextStep };
}
