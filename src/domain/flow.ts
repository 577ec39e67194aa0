import type { TaskId, ToolRef } from './ids.ts';

/** How far what comes back may be believed: one of our systems, our own people, or anybody. */
export const TRUSTS = ['trusted', 'internal', 'untrusted'] as const;
export type Trust = (typeof TRUSTS)[number];

/** Where a call can carry something. `fetch`: an address is called; `admin`: who may do what, or prove who they are; `destroy`: what cannot be brought back. */
export const SINKS = ['none', 'internal', 'external', 'money', 'fetch', 'admin', 'destroy'] as const;
export type SinkKind = (typeof SINKS)[number];

const OUTWARD: ReadonlySet<SinkKind> = new Set(['external', 'money', 'fetch']);

/** Whether something of a call reaches somebody outside. */
export const isOutward = (sink: SinkKind): boolean => OUTWARD.has(sink);

/** Class of data that anybody may have: it is no leg, and nothing that sticks. */
export const PUBLIC = 'public';

/**
 * Where a value comes from, best first. `pointed`: a member that a system issues, in a result that the user pointed at; `named`: any text of such
 * a result; `field` and `text`: the same of any other result.
 */
export const ORIGINS = ['user', 'trusted', 'pointed', 'named', 'field', 'text', 'nowhere'] as const;
export type Origin = (typeof ORIGINS)[number];

/** Whether an origin is at least as good as another. */
export const isAsGood = (origin: Origin, least: Origin): boolean => ORIGINS.indexOf(origin) <= ORIGINS.indexOf(least);

/** An argument that says to whom, which one, or what key. */
export interface CriticalValue {
  readonly name: string;
  /** Kind of value: a field of the same kind can vouch for it. Undefined: of any kind. */
  readonly kind: string | undefined;
  /** The least good origin that is accepted. */
  readonly from: Origin;
}

/** A member of results that the system behind the connector issues, wherever it stands in them. */
export interface IssuedField {
  readonly name: string;
  readonly kind: string;
  readonly isTrusted: boolean;
}

/** What an item is in the flow of data: the owner's words. */
export interface FlowProfile {
  readonly trust: Trust;
  readonly fields: readonly IssuedField[];
  /** How a result's text is read for its fields; structured content always is. */
  readonly format: 'json' | 'yaml';
  /** Members of results in whose place the agent gets handles, as dotted paths; undefined: none. */
  readonly handle?: readonly string[] | undefined;
  readonly sink: SinkKind;
  readonly critical: readonly CriticalValue[];
  /** Arguments that name the thing that is read or written, with the kind of value. Empty: not said. */
  readonly resource: readonly { readonly name: string; readonly kind: string }[];
  /** Allow-list for critical arguments and URLs: literal, or with `*` at its start or end. */
  readonly destinations: readonly string[];
  /** Words by which a person asks for it. */
  readonly asked: readonly string[];
  /** The tool that undoes it. */
  readonly inverse: string | undefined;
}

/** What a task has read so far. Only grows. */
export interface FlowLabels {
  readonly trust: Trust;
  /** Sorted, without doubles. */
  readonly dataClasses: readonly string[];
  /** Zones of the connectors that were read from; sorted, without doubles. */
  readonly zones: readonly string[];
}

/** Least element of the lattice: nothing has been read. */
export const NO_LABELS: FlowLabels = { trust: 'trusted', dataClasses: [], zones: [] };

/** Least upper bound. The first argument itself where the second adds nothing. */
export function joinLabels(left: FlowLabels, right: FlowLabels): FlowLabels {
  const trust = TRUSTS.indexOf(right.trust) > TRUSTS.indexOf(left.trust) ? right.trust : left.trust;
  const dataClasses = union(left.dataClasses, right.dataClasses);
  const zones = union(left.zones, right.zones);
  const isSame = trust === left.trust && dataClasses === left.dataClasses && zones === left.zones;
  return isSame ? left : { trust, dataClasses, zones };
}

function union(left: readonly string[], right: readonly string[]): readonly string[] {
  return right.every((one) => left.includes(one)) ? left : [...new Set([...left, ...right])].sort();
}

/** What a restarted gateway must know of a family of tasks. */
export interface RememberedFlow {
  readonly labels: FlowLabels;
  /** Calls that reached outside. */
  readonly outward: number;
}

/** The worst of what was known and what one more intent says. What was known itself, where that says nothing worse. */
export function joinRemembered(known: RememberedFlow | undefined, said: RememberedFlow): RememberedFlow {
  const before = known ?? { labels: NO_LABELS, outward: 0 };
  const labels = joinLabels(before.labels, said.labels);
  const outward = Math.max(before.outward, said.outward);
  return known !== undefined && labels === known.labels && outward === known.outward ? known : { labels, outward };
}

/** Where one critical value of a call comes from. Never the value: that is sealed with the arguments. */
export interface ValueProvenance {
  /** Name of the critical argument. */
  readonly name: string;
  /** Where in it: `recipients[0]`. */
  readonly argument: string;
  readonly origin: Origin;
  readonly needed: Origin;
  /** The item whose result it stands in, and the span of that call. */
  readonly tool?: ToolRef;
  readonly span?: string;
}

/** What flow adds to a decision: of the task's family, the call's own joined where it was permitted. */
export interface DecisionFlow extends RememberedFlow {
  /** What had been read before it, where the call itself adds to that. */
  readonly before?: FlowLabels;
  readonly provenance: readonly ValueProvenance[];
  /** The task at the top of the family, where it is another. */
  readonly family?: TaskId;
}

/** What a record says of flow; undefined for what nobody of ours wrote. */
export function readRemembered(value: unknown): RememberedFlow | undefined {
  const { labels, outward } = (value ?? {}) as Partial<RememberedFlow>;
  const { trust, dataClasses, zones } = (labels ?? {}) as Partial<FlowLabels>;
  const isText = (list: unknown): list is readonly string[] =>
    Array.isArray(list) && list.every((one) => typeof one === 'string');
  if (!TRUSTS.some((one) => one === trust) || !isText(dataClasses) || !isText(zones)) return undefined;
  if (!Number.isSafeInteger(outward) || (outward as number) < 0) return undefined;
  return { labels: { trust: trust as Trust, dataClasses, zones }, outward: outward as number };
}
