import { buildModel } from './build-model.ts';
import type { LintFinding, LintInput, LintRule } from './lint-model.ts';
import { anyAction, anyPrincipal, criticalArguments, criticalClass } from './rules-breadth.ts';
import { duplicate, holdForbidden, permitForbidden, shadowed } from './rules-conflict.ts';
import { matchesNothing, noTaskReaches, unknownTemplate } from './rules-reach.ts';

const RULES: readonly LintRule[] = [
  matchesNothing,
  unknownTemplate,
  noTaskReaches,
  permitForbidden,
  holdForbidden,
  duplicate,
  shadowed,
  anyPrincipal,
  anyAction,
  criticalClass,
  criticalArguments,
];
const ORDER = ['high', 'medium', 'low'] as const;

/**
 * Looks for what is wrong or risky in policies that are valid, by enumeration of what is registered; gravest first. Nothing is claimed that
 * depends on a call, on the groups of a user, or on what is not registered yet. A policy takes a finding on itself by `@lint_allow("id,id")`.
 */
export function lintPolicies(input: LintInput): LintFinding[] {
  const model = buildModel(input);
  const allowed = new Map(
    input.policies.map(({ id, json }) => [
      id,
      (json.annotations?.lint_allow ?? '').split(',').map((one) => one.trim()),
    ]),
  );
  return RULES.flatMap((rule) => rule(model))
    .filter(({ id, policy }) => !allowed.get(policy)?.includes(id))
    .sort((a, b) => ORDER.indexOf(a.severity) - ORDER.indexOf(b.severity));
}
