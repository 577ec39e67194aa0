import { buildModel } from './build-model.ts';
import type { LintFinding, LintInput, LintRule } from './lint-model.ts';
import { anyAction } from './rules/any-action.ts';
import { anyPrincipal } from './rules/any-principal.ts';
import { criticalArguments } from './rules/critical-arguments.ts';
import { criticalClass } from './rules/critical-class.ts';
import { duplicate } from './rules/duplicate.ts';
import { holdForbidden } from './rules/hold-forbidden.ts';
import { matchesNothing } from './rules/matches-nothing.ts';
import { noTaskReaches } from './rules/no-task-reaches.ts';
import { permitForbidden } from './rules/permit-forbidden.ts';
import { shadowed } from './rules/shadowed.ts';
import { unknownTemplate } from './rules/unknown-template.ts';

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
