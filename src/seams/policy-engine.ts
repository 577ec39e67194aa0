import type { AccessRequest } from '../domain/decision.ts';

/** What an engine says of one access request. */
export interface PolicyAnswer {
  readonly verdict: 'permit' | 'deny';
  /** Determining policies by id; empty for a default deny. */
  readonly policies: readonly string[];
  /** `@reason` of the first determining policy that has one, or a plain sentence. */
  readonly reason: string;
  /** `@next` of the first determining policy that has one. */
  readonly nextStep: string | undefined;
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
