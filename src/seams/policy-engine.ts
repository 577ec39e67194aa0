import type { AccessRequest } from '../domain/decision.ts';
import type { StepUpTerms } from '../domain/step-up.ts';

/** What an engine says of one access request. */
export interface PolicyAnswer {
  /** `step_up`: permitted, once the people that `terms` name agree. Never of a listing: what can be asked for is listed. */
  readonly verdict: 'permit' | 'deny' | 'step_up';
  /** Determining policies by id; empty for a default deny. */
  readonly policies: readonly string[];
  /** `@reason` of the first determining policy that has one, or a plain sentence. */
  readonly reason: string;
  /** `@next` of the first determining policy that has one. */
  readonly nextStep: string | undefined;
  /** Of a `deny`: policies say so and nothing else, neither a fault nor what a person may lift. Left out: it is not known, and never looked past. */
  readonly isJudged?: boolean;
  /** Of a `step_up`, at least one; a `step_up` without is a denial. */
  readonly terms?: readonly StepUpTerms[];
}

/**
 * Decides one access request. Cardinality: one active version at a time, swapped whole on reload.
 * No matching policy, an error in any policy and a fault of the engine are all `deny` (guarantee D1); it never throws.
 */
export interface PolicyEngine {
  /** `sha256:` + hex over schema and policies: put on every decision. */
  readonly version: string;
  evaluate(request: AccessRequest): PolicyAnswer | Promise<PolicyAnswer>;
}
