import type { Decision, Gate } from '../domain/decision.ts';

/** A gate's refusal: a decision that lacks only the version of the policies in force. */
export type Denial = Omit<Decision, 'policyVersion'> & { readonly verdict: 'deny' };

/** Rule ids of the gates outside policy; `@id`s of policies cannot start with `remit:`. */
export type Rule =
  | 'remit:undescribed'
  | 'remit:quarantined'
  | 'remit:task-principal'
  | 'remit:task-ended'
  | 'remit:suspended'
  | 'remit:task-tool'
  | 'remit:task-class'
  | 'remit:template'
  | 'remit:budget'
  | 'remit:busy'
  | 'remit:rate'
  | 'remit:volume'
  | 'remit:legacy-tool'
  | 'remit:client-features'
  | 'remit:question'
  | 'remit:arguments'
  | 'remit:clock'
  | 'remit:fault';

export function denial(gate: Gate, rule: Rule, reason: string, nextStep: string): Denial {
  return { verdict: 'deny', gate, policies: [rule], reason, nextStep };
}
