import { readUid } from '../cedar-names.ts';
import type { LoadedPolicy } from '../load-policies.ts';
import {
  type Applied,
  actionsOf,
  coversAt,
  findingOf,
  type LintModel,
  type LintRule,
  namesOf,
  type Point,
} from './lint-model.ts';

/** Classes of which each permit should say that it means them. */
const CRITICAL: ReadonlySet<string> = new Set(['financial', 'export', 'privilege', 'secret']);

const permitsOf = ({ applied }: LintModel): Applied[] => applied.filter(({ policy }) => policy.effect === 'permit');

/** Users, agents and actors are judged alone: a permit for all of them takes the judgement away. */
export const anyPrincipal: LintRule = (model) =>
  permitsOf(model).flatMap(({ policy }) =>
    policy.json.principal.op === 'All'
      ? [
          findingOf(
            policy,
            'any-principal',
            'medium',
            'it permits every agent, every actor and every user alike',
            'Name an agent or a group, or write one policy for agents (`principal is Remit::Agent`) and one for users.',
          ),
        ]
      : [],
  );

/** Listing and every class of call at once. */
export const anyAction: LintRule = (model) =>
  permitsOf(model).flatMap(({ policy }) =>
    policy.json.action.op === 'All'
      ? [
          findingOf(
            policy,
            'any-action',
            'medium',
            'it permits every action: listing, and calls of every class, those to come included',
            'Name `discover` and the classes that are meant: `action in [Remit::Action::"discover", Remit::Action::"read"]`.',
          ),
        ]
      : [],
  );

/** Money, exports, rights and secrets by a permit that names neither the class nor the item, where nothing forbids or holds them. */
export const criticalClass: LintRule = (model) =>
  permitsOf(model).flatMap((one) => {
    if (namesItem(one.policy)) return [];
    const open = new Set<string>();
    const classes = new Set<string>();
    eachCall(model, one, ({ tool: { ref, profile } }) => {
      if (!CRITICAL.has(profile.actionClass) || namesClass(one.policy, profile.actionClass)) return;
      open.add(ref);
      classes.add(profile.actionClass);
    });
    if (open.size === 0) return [];
    const hasConditions = one.policy.json.conditions.length > 0;
    return [
      findingOf(
        one.policy,
        'critical-class',
        hasConditions ? 'medium' : 'high',
        `it permits ${[...classes].sort().join(', ')} without naming it, on ${namesOf(open)}`,
        'Name the classes or items that are meant, or hold the class by a forbid with @step_up.',
      ),
    ];
  });

/** Calls whose arguments say to whom or which one, permitted whatever these are. */
export const criticalArguments: LintRule = (model) =>
  permitsOf(model).flatMap((one) => {
    if (one.policy.json.conditions.length > 0) return [];
    const open = new Set<string>();
    eachCall(model, one, ({ tool: { ref, profile } }, point) => {
      const isCritical =
        (profile.flow?.critical.length ?? 0) > 0 ||
        (CRITICAL.has(profile.actionClass) && profile.criticalArguments.length > 0);
      if (isCritical && !isRead(model, point)) open.add(ref);
    });
    if (open.size === 0) return [];
    return [
      findingOf(
        one.policy,
        'critical-arguments',
        'medium',
        `it permits ${namesOf(open)} whatever the arguments are, and no other policy looks at them`,
        'Look at them: `when { context.args… }`, a forbid on `context.provenance`, or a forbid with @step_up.',
      ),
    ];
  });

/** Calls that it permits and that nothing certainly forbids or holds. */
function eachCall(model: LintModel, one: Applied, work: (point: Point, number: number) => void): void {
  const forbids = model.applied.filter(({ policy }) => policy.effect === 'forbid');
  model.points.forEach((point, number) => {
    if (one.at[number] !== 1 || point.action !== 'call') return;
    if (!forbids.some((forbid) => coversAt(model, forbid, one, number))) work(point, number);
  });
}

/** Whether a policy that can apply here looks at the arguments or where they come from. */
function isRead({ applied }: LintModel, point: number): boolean {
  return applied.some(({ policy: { references }, at }) => {
    const { whole, fields } = references.context;
    return at[point] === 1 && (whole || fields.has('args') || fields.has('provenance'));
  });
}

function namesItem(policy: LoadedPolicy): boolean {
  const { resource } = policy.json;
  const isTool = 'entity' in resource && readUid(resource.entity).type === 'Remit::Tool';
  return isTool || actionsOf(policy).some((id) => id.includes('/'));
}

const namesClass = (policy: LoadedPolicy, actionClass: string): boolean => actionsOf(policy).includes(actionClass);
