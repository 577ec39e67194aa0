import { FAST_CALLS, SHORT_CALLS } from './cluster.ts';
import type { Effect } from './fake-effects.ts';
import type { Stories, TaskStory } from './load.ts';
import type { GoneOnWith } from './own-trail.ts';

/** What must not have happened, by what the tools did and what people were told. */
export interface Verdict {
  readonly duplicated: readonly string[];
  readonly afterRevocation: readonly string[];
  readonly labelsLost: readonly string[];
  readonly beyondBudget: readonly string[];
  /** Tasks that a node went on with and that had made more calls than it knew of: so many it would give out again. */
  readonly callsForgotten: readonly string[];
  /** Calls that their agents were told were done, and were not. */
  readonly lost: readonly string[];
}

const BUDGETS: Partial<Record<TaskStory['template'], number>> = { short: SHORT_CALLS, fast: FAST_CALLS };

export function judge(
  effects: readonly Effect[],
  { calls, tasks }: Stories,
  adopted: readonly GoneOnWith[] = [],
): Verdict {
  const times = new Map<string, number>();
  const perTask = new Map<string, number[]>();
  const afterRevocation: string[] = [];
  const labelsLost: string[] = [];
  for (const { id, task, tool, at } of effects) {
    times.set(id, (times.get(id) ?? 0) + 1);
    const ofTask = perTask.get(task) ?? [];
    ofTask.push(at);
    perTask.set(task, ofTask);
    const told = calls.get(id);
    if (told === undefined) continue;
    const { barredFrom, taintedFrom } = told.task;
    const about = `${tool} ${id} of ${task}, sent at ${new Date(told.sentAt).toISOString()}`;
    if (barredFrom !== undefined && told.sentAt > barredFrom) {
      afterRevocation.push(`${about}, barred from ${new Date(barredFrom).toISOString()}`);
    }
    if (tool === 'send' && taintedFrom !== undefined && told.sentAt > taintedFrom) labelsLost.push(about);
  }
  return {
    duplicated: [...times].filter(([, count]) => count > 1).map(([id, count]) => `${id}: ${count} times`),
    afterRevocation,
    labelsLost,
    beyondBudget: [...tasks.values()].flatMap(({ id, template }) => {
      const [made, most] = [perTask.get(id)?.length ?? 0, BUDGETS[template]];
      return most !== undefined && made > most ? [`${id}: ${made} of ${most}`] : [];
    }),
    callsForgotten: adopted.flatMap(({ task, node, used, at }) => {
      const made = (perTask.get(task) ?? []).filter((one) => one < at).length;
      return made > used ? [`${task}: ${made} made, and ${node} went on with ${used}`] : [];
    }),
    lost: [...calls].filter(([id, { answered }]) => answered === 'done' && !times.has(id)).map(([id]) => id),
  };
}
