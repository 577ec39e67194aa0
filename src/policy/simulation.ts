import type { Decision } from '../domain/decision.ts';

type Said = Pick<Decision, 'verdict' | 'policies' | 'reason'>;

/** One decision under the policies of before and of after. */
export interface Compared {
  readonly kind: 'call' | 'listing';
  readonly agent: string;
  readonly tool: string;
  /** Id that finds it again: the span. */
  readonly span: string;
  readonly from: Said;
  readonly to: Said;
  /** What was not asked then, cannot be asked now, and may hold or deny it: rules of flow, risk, decision points outside. */
  readonly unjudged: readonly string[];
}

/** Decisions that change alike: the same agent, item and change, by the same policies, with the same left open. */
export interface Change {
  readonly kind: Compared['kind'];
  readonly agent: string;
  readonly tool: string;
  readonly from: Decision['verdict'];
  readonly to: Decision['verdict'];
  /** Determining policies of before, and of after; none: nothing permitted it. */
  readonly was: readonly string[];
  readonly by: readonly string[];
  readonly why: string;
  readonly count: number;
  /** Spans of a few of them, the newest last. */
  readonly examples: readonly string[];
  /** The same of each of these calls; none: nothing else has a say. */
  readonly unjudged: readonly string[];
}

const EXAMPLES = 3;

/** Collects what changes. Memory grows with the number of different changes, up to `most`, not with that of calls. */
export function createChanges(most = Number.POSITIVE_INFINITY): { add(compared: Compared): boolean; list(): Change[] } {
  const groups = new Map<string, Change>();
  return {
    add({ kind, agent, tool, span, from, to, unjudged }) {
      if (from.verdict === to.verdict) return false;
      const key = JSON.stringify([kind, agent, tool, from.verdict, to.verdict, from.policies, to.policies, unjudged]);
      const known = groups.get(key);
      if (known === undefined && groups.size >= most) return true;
      groups.set(key, {
        kind,
        agent,
        tool,
        from: from.verdict,
        to: to.verdict,
        was: from.policies,
        by: to.policies,
        why: to.reason,
        count: (known?.count ?? 0) + 1,
        examples: [...new Set([...(known?.examples ?? []), span])].slice(-EXAMPLES),
        unjudged,
      });
      return true;
    },
    list: () =>
      [...groups.values()].sort(
        (a, b) => rank(a) - rank(b) || b.count - a.count || compare(`${a.agent} ${a.tool}`, `${b.agent} ${b.tool}`),
      ),
  };
}

/** What takes work away comes first, then what gives rights; calls before listings. */
function rank({ kind, from, to }: Change): number {
  const order = ['deny', 'step_up', 'permit'];
  return (kind === 'listing' ? 2 : 0) + (order.indexOf(to) < order.indexOf(from) ? 0 : 1);
}

const compare = (a: string, b: string): number => (a < b ? -1 : a > b ? 1 : 0);
