import { createCedarEngine } from '../../adapters/policy/cedar-engine.ts';
import type { LoadedPolicies } from '../../adapters/policy/load-policies.ts';
import type { PolicyUse } from '../../adapters/policy/narrow-policies.ts';
import type { AccessRequest } from '../../domain/decision.ts';
import type { PolicyEngine } from '../../seams/policy-engine.ts';

/** Which permits a decision was made by. */
export interface WatchedEngine extends PolicyEngine {
  /** Permits that determined an answer since the last time this was asked, with whom they permitted what. */
  take(): readonly { readonly policy: string; readonly use: PolicyUse }[];
}

/** The engine that serves, of which each answer is noted. A held call is asked about once more without what holds it: the permit behind it is needed, too. */
export function watchPermits(loaded: LoadedPolicies): WatchedEngine {
  const engine = createCedarEngine(loaded);
  const isLiftable = loaded.policies.some(({ stepUp }) => stepUp !== undefined);
  const lifted = isLiftable
    ? createCedarEngine({ ...loaded, policies: loaded.policies.filter(({ stepUp }) => stepUp === undefined) })
    : engine;
  let noted: { policy: string; use: PolicyUse }[] = [];
  return {
    version: engine.version,
    evaluate(request) {
      const answer = engine.evaluate(request);
      const { verdict, policies } = answer.verdict === 'step_up' ? lifted.evaluate(request) : answer;
      if (verdict === 'permit') for (const policy of policies) noted.push({ policy, use: useOf(request) });
      return answer;
    },
    take() {
      const taken = noted;
      noted = [];
      return taken;
    },
  };
}

const useOf = ({ subject, action, resource }: AccessRequest): PolicyUse => ({
  kind: subject.kind,
  id: subject.id,
  groups: subject.groups,
  action,
  tool: resource.tool,
});
