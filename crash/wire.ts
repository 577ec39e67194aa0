import type { Random } from '../harness/random.ts';
import type { Fate, Point, Request } from '../harness/tcp-proxy.ts';

/** What happens on the wire besides kills (fault 2: the downstream commits, its response is lost). */
export interface WireCounts {
  delayed: number;
  stalled: number;
  lost: number;
}

/** Issues and revokes only: everything that a lease depends on meets slow and lost answers. */
const GOVERNED = new Set(['create', 'create-commit', 'bar', 'terminate', 'drop', 'drop-commit', 'delete']);

export function weather(random: Random, counts: WireCounts): (point: Point, request: Request) => Fate {
  return (point, { what }) => {
    if (!GOVERNED.has(what) || (point !== 'sent' && point !== 'answered')) return 'pass';
    if (random.chance(0.02)) {
      counts.lost += 1;
      return 'lose';
    }
    if (random.chance(0.06)) {
      counts.delayed += 1;
      return { afterMs: random.between(2, 60) };
    }
    if (random.chance(0.005)) {
      counts.stalled += 1;
      return { afterMs: random.between(300, 1_500) };
    }
    return 'pass';
  };
}
