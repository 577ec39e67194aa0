import type { FlowLabels } from './flow.ts';
import type { ConnectorId, TenantId } from './ids.ts';

/** What names a thing at a connector, as keyed fingerprints by kind of value: a file's id, a path. Never the values. */
export type ThingNames = Readonly<Record<string, readonly string[]>>;

/** What a task stored somewhere carries the labels that the task had: whoever reads it has read all of that. */
export interface StoredMark {
  readonly tenant: TenantId;
  readonly connector: ConnectorId;
  /** Undefined: what was written is not known, so it may be anything of the connector. */
  readonly names: ThingNames | undefined;
  readonly labels: FlowLabels;
  /** Milliseconds since the epoch: of the last write. */
  readonly at: number;
}

/** One text for the same names, whatever their order. Empty for what is not known. */
export function namesText(names: ThingNames | undefined): string {
  if (names === undefined) return '';
  const sorted = Object.entries(names).map(([kind, values]) => [kind, [...values].sort()] as const);
  return JSON.stringify(sorted.sort(([one], [other]) => (one < other ? -1 : 1)));
}

/**
 * Whether two things are surely not the same: named by a value of the same kind, and by none that both have. What is named otherwise, or not at
 * all, may be the same.
 */
export function isAnother(left: ThingNames | undefined, right: ThingNames | undefined): boolean {
  if (left === undefined || right === undefined) return false;
  return Object.entries(left).some(([kind, values]) => {
    const others = Object.hasOwn(right, kind) ? right[kind] : undefined;
    return others !== undefined && !values.some((value) => others.includes(value));
  });
}
