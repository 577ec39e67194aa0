import type { PolicyJson } from '@cedar-policy/cedar-wasm/nodejs';
import type { AccessRequest } from '../../domain/decision.ts';
import { CALL, DISCOVER } from './cedar-names.ts';
import { joinReferences, type References } from './cedar-references.ts';
import { matchesTool, namedActions, type PrincipalScope, readPrincipalScope, reduceScope } from './cedar-scopes.ts';
import type { LoadedPolicy } from './load-policies.ts';
import type { PolicyTool } from './policy-inventory.ts';

/** The policies that can match one tool, action and principal, as one set parsed inside Cedar. */
export interface Slice {
  /** In the order of loading. */
  readonly policies: readonly LoadedPolicy[];
  /** Undefined when no policy can match: a default deny without asking. */
  readonly slot: string | undefined;
  readonly references: References;
  /** Whether any policy here looks at the context at all. */
  readonly looksAtContext: boolean;
  /** Groups that a policy here names; others cannot matter. */
  readonly groups: ReadonlySet<string>;
  /** Whether the principal must be sent with its parents. */
  readonly needsParents: boolean;
  /** The same without the policies that a person’s approval lifts; undefined where there is none of them. */
  readonly lifted: Slice | undefined;
}

/** Slices of one tool and action for one kind of principal. */
export interface SliceChoice {
  readonly named: ReadonlyMap<string, Slice>;
  readonly anyone: Slice;
}

interface Compiled {
  readonly policy: LoadedPolicy;
  readonly scope: PrincipalScope;
  readonly reduced: PolicyJson;
}

export interface Slicer {
  /** Chooses the policies for one tool, action and kind of principal; equal sets share one slot. */
  slice(tool: PolicyTool, action: AccessRequest['action'], kind: AccessRequest['subject']['kind']): SliceChoice;
  /** Slots taken so far; whoever returns them empties the list. */
  readonly slots: string[];
}

/**
 * Prepares slicing. A policy is left out only where its scope can never match, so that Cedar would have ignored it; the
 * rest of its scope that the choice already decided is dropped. Every policy has one reduced form, whatever the slice.
 * @param fill parses a set and returns its slot
 */
export function createSlicer(
  policies: readonly LoadedPolicy[],
  fill: (set: Readonly<Record<string, PolicyJson>>) => string,
): Slicer {
  const all: Compiled[] = policies.map((policy) => ({
    policy,
    scope: readPrincipalScope(policy.json),
    reduced: reduceScope(policy.json),
  }));
  const find = indexByAction(all);
  const made = new Map<string, Slice>();
  const slots: string[] = [];

  const make = (indexes: readonly number[]): Slice => {
    const key = indexes.join(',');
    let slice = made.get(key);
    if (slice === undefined) {
      const chosen = indexes.map((index) => all[index] as Compiled);
      const lasting = indexes.filter((index) => all[index]?.policy.stepUp === undefined);
      const lifted = lasting.length === indexes.length ? undefined : make(lasting);
      slice = describeSlice(chosen, chosen.length === 0 ? undefined : fill(toSet(chosen)), lifted);
      if (slice.slot !== undefined) slots.push(slice.slot);
      made.set(key, slice);
    }
    return slice;
  };

  return {
    slots,
    slice(tool, action, kind) {
      const anyone: number[] = [];
      const byName = new Map<string, number[]>();
      for (const index of find(tool, action)) {
        const { policy, scope } = all[index] as Compiled;
        if (!scope.kinds.has(kind) || !matchesTool(policy.json, action, tool)) continue;
        if (scope.named === undefined) anyone.push(index);
        else byName.set(scope.named, [...(byName.get(scope.named) ?? []), index]);
      }
      const named = new Map<string, Slice>();
      for (const [name, own] of byName) named.set(name, make([...anyone, ...own].sort((a, b) => a - b)));
      return { named, anyone: make(anyone) };
    },
  };
}

/**
 * Policies that may match a listing or a call of a tool, in the order of loading: with many tools and policies, looking at all of both takes
 * seconds. By the ids alone that action scopes name; whether one matches is not decided here.
 */
function indexByAction(all: readonly Compiled[]) {
  const byAction = new Map<string, number[]>();
  const ofAny: number[] = [];
  all.forEach(({ policy }, index) => {
    const scope = policy.json.action;
    if (scope.op === 'All') ofAny.push(index);
    for (const { id } of namedActions(scope)) byAction.set(id, [...(byAction.get(id) ?? []), index]);
  });
  return (tool: PolicyTool, action: AccessRequest['action']): readonly number[] => {
    const ids = action === 'discover' ? [DISCOVER] : [tool.ref, tool.profile.actionClass, CALL];
    const found = new Set([...ofAny, ...ids.flatMap((id) => byAction.get(id) ?? [])]);
    return [...found].sort((a, b) => a - b);
  };
}

function toSet(chosen: readonly Compiled[]): Record<string, PolicyJson> {
  return Object.fromEntries(chosen.map(({ policy, reduced }) => [policy.id, reduced]));
}

function describeSlice(chosen: readonly Compiled[], slot: string | undefined, lifted: Slice | undefined): Slice {
  const references = joinReferences(chosen.map(({ policy }) => policy.references));
  const groups = new Set<string>();
  for (const { scope } of chosen) if (scope.group !== undefined) groups.add(scope.group);
  for (const { type, id } of references.literals) if (type === 'Remit::Group') groups.add(id);
  const needsParents = chosen.some(({ scope }) => scope.group !== undefined) || references.looksAtParents;
  const looksAtContext = references.context.whole || references.context.fields.size > 0;
  const policies = chosen.map(({ policy }) => policy);
  return { policies, slot, references, looksAtContext, groups, needsParents, lifted };
}
