import { isJsonObject } from '../../domain/json.ts';
import type { ResultRules } from '../../domain/tool.ts';

/** What was done to members, for the record: counts, never values. */
export interface MemberCounts {
  masked: number;
  dropped: number;
}

export const MASK = '[masked by Remit]';

/** Where one path has got to: it goes on with the name at `at`. */
interface Place {
  readonly path: readonly string[];
  readonly at: number;
  readonly isDrop: boolean;
}

/**
 * A value without the members that the rules name. A path is names, from the outside in; items of a list stand for the list; `*` is any one name,
 * and `**` any number of them.
 * @throws RangeError when it is nested too deep
 */
export function redactMembers(
  value: unknown,
  { drop, mask }: Pick<ResultRules, 'drop' | 'mask'>,
  counts: MemberCounts,
): unknown {
  const start = (paths: readonly (readonly string[])[], isDrop: boolean): Place[] =>
    paths.map((path) => ({ path, at: 0, isDrop }));
  return redact(value, [...start(drop, true), ...start(mask, false)], counts);
}

function redact(value: unknown, places: readonly Place[], counts: MemberCounts): unknown {
  if (places.length === 0) return value;
  if (Array.isArray(value)) return value.map((item) => redact(item, places, counts));
  if (!isJsonObject(value)) return value;
  const kept: [string, unknown][] = [];
  for (const [name, member] of Object.entries(value)) {
    const next = places.flatMap((place) => advance(place, name));
    const ends = next.filter(({ path, at }) => at === path.length);
    if (ends.some(({ isDrop }) => isDrop)) counts.dropped += 1;
    else if (ends.length > 0) {
      counts.masked += 1;
      kept.push([name, MASK]);
    } else kept.push([name, redact(member, next, counts)]);
  }
  return Object.fromEntries(kept);
}

function advance(place: Place, name: string): Place[] {
  const { path, at } = place;
  const wanted = path[at];
  if (wanted === '**') {
    // Here for any number more, or it is over and the next name is looked for at once.
    return [place, ...advance({ ...place, at: at + 1 }, name)];
  }
  return wanted === '*' || wanted === name ? [{ ...place, at: at + 1 }] : [];
}
