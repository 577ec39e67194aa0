import type { TaskTemplate } from '../../../domain/task.ts';
import { namedActions } from '../cedar-scopes.ts';
import type { LoadedPolicies, LoadedPolicy } from '../load-policies.ts';
import type { PolicyTool } from '../policy-inventory.ts';

/** What policies are looked at against: all that is registered. */
export interface LintInput extends LoadedPolicies {
  readonly templates: readonly TaskTemplate[];
  /** Of the gateway: constant, so that a condition on it is decided. */
  readonly environment: string;
}

/** Something wrong with a policy, or a risk of it. */
export interface LintFinding {
  /** What kind of thing: stable. */
  readonly id: LintId;
  readonly severity: 'high' | 'medium' | 'low';
  readonly policy: string;
  /** `file:line` of the policy. */
  readonly at: string;
  readonly what: string;
  readonly next: string;
}

export const LINT_IDS = [
  'matches-nothing',
  'unknown-template',
  'no-task-reaches',
  'permit-forbidden',
  'hold-forbidden',
  'duplicate',
  'shadowed',
  'any-principal',
  'any-action',
  'critical-class',
  'critical-arguments',
] as const;
export type LintId = (typeof LINT_IDS)[number];

/**
 * Who may ask, as far as scopes can tell people apart: each registered agent; each user and each group that a policy names, the latter as somebody
 * who is in no other; and somebody else.
 */
export interface Asker {
  readonly kind: 'agent' | 'user';
  readonly id: string;
  readonly groups: readonly string[];
}

/** One question that can be asked of policies, but for what only a call has. */
export interface Point {
  readonly asker: Asker;
  readonly action: 'call' | 'discover';
  readonly tool: PolicyTool;
}

/** What one policy can apply to. */
export interface Applied {
  readonly policy: LoadedPolicy;
  /** By the number of the point: 1 where its scope matches and each condition holds that does not need a call to be decided. */
  readonly at: Uint8Array;
  /** Conditions that only a call decides, by the kind of who asks: the policy may apply or not. */
  readonly open: Readonly<Record<Asker['kind'], ReadonlySet<string>>>;
}

export interface LintModel {
  readonly input: LintInput;
  readonly points: readonly Point[];
  readonly applied: readonly Applied[];
}

/** One rule: what it finds in a set of policies. */
export type LintRule = (model: LintModel) => readonly LintFinding[];

export function findingOf(
  policy: LoadedPolicy,
  id: LintId,
  severity: LintFinding['severity'],
  what: string,
  next: string,
): LintFinding {
  return { id, severity, policy: policy.id, at: `${policy.file}:${policy.line}`, what, next };
}

/** Whether a policy certainly applies wherever another one does at this point. */
export function coversAt(model: LintModel, cover: Applied, covered: Applied, point: number): boolean {
  if (cover.at[point] !== 1) return false;
  const { kind } = (model.points[point] as Point).asker;
  for (const condition of cover.open[kind]) if (!covered.open[kind].has(condition)) return false;
  return true;
}

/** Whether at each point where a policy can apply one of the others certainly does. Of a policy that applies nowhere: false. */
export function isCovered(model: LintModel, covered: Applied, covers: readonly Applied[]): boolean {
  let isAnywhere = false;
  for (let point = 0; point < model.points.length; point += 1) {
    if (covered.at[point] !== 1) continue;
    isAnywhere = true;
    if (!covers.some((cover) => coversAt(model, cover, covered, point))) return false;
  }
  return isAnywhere;
}

/** Ids of the actions that a policy's scope names; none: any. */
export const actionsOf = ({ json }: LoadedPolicy): string[] => namedActions(json.action).map(({ id }) => id);

/** Names of some tools, for people. */
export function namesOf(tools: ReadonlySet<string>): string {
  const names = [...tools].sort();
  return names.length > 5 ? `${names.slice(0, 5).join(', ')} and ${names.length - 5} more` : names.join(', ');
}
