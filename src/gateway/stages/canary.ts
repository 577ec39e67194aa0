import type { Decision } from '../../domain/decision.ts';
import type { Gateway } from '../gateway.ts';
import type { Operation } from '../operation.ts';

/** What a call is denied for that carries a value which nobody has any use for. */
export const CANARY_RULE = 'remit:canary';

/** A canary in the arguments denies, whatever policy and people say. One comparison where there is none. */
export function judgeCanary(
  { flow }: Pick<Gateway, 'flow'>,
  { args }: Pick<Operation, 'args'>,
  decision: Decision,
): Decision {
  if (flow.canaries.size === 0) return decision;
  const found = flow.canaries.find(args);
  if (found === undefined) return decision;
  return {
    verdict: 'deny',
    gate: 'flow',
    policies: [CANARY_RULE],
    reason: `The arguments hold canary ${found.id} of zone ${found.zone}, a value that nothing may carry.`,
    nextStep: 'Stop, and tell your user: this task is held back.',
    policyVersion: decision.policyVersion,
    ...(decision.flow !== undefined && { flow: decision.flow }),
  };
}
