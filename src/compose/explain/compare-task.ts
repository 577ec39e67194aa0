import type { ObservedTask } from '../../audit/observe-task.ts';
import { coversTool, type TaskTemplate } from '../../domain/task.ts';
import type { ActionClass } from '../../domain/tool.ts';
import { describedItem } from '../connectors/described-items.ts';
import type { Estate } from '../estate.ts';

/** One bound of a task beside what was made of it. */
export interface ComparedBound {
  readonly bound: 'purpose' | 'tools' | 'classes' | 'resources' | 'calls' | 'time' | 'destinations';
  readonly declared: readonly string[];
  readonly observed: readonly string[];
  /** What of it was never used. */
  readonly unused: readonly string[];
}

export interface TaskComparison {
  readonly seen: ObservedTask;
  /** As it is now. */
  readonly template: TaskTemplate | undefined;
  readonly bounds: readonly ComparedBound[];
}

/** Declared purpose and observed behaviour, bound by bound. Classes are those that profiles say now. */
export function compareTask(seen: ObservedTask, estate: Estate): TaskComparison {
  const { task, items, leases, prompts, destinations, callsUsed, lastCall, state } = seen;
  const { bounds } = task;
  const template = estate.templates.get(task.template);
  const made = items.filter(({ permitted }) => permitted > 0);
  const classOf = (tool: (typeof items)[number]['tool']): ActionClass | undefined =>
    describedItem(estate, tool)?.profile?.actionClass;
  const classes = new Map<string, number>();
  for (const { tool, permitted } of made) {
    const name = classOf(tool) ?? 'not described now';
    classes.set(name, (classes.get(name) ?? 0) + permitted);
  }
  const leased = new Set(leases.flatMap(({ resources }) => resources));
  const left = bounds.calls - callsUsed;
  return {
    seen,
    template,
    bounds: [
      {
        bound: 'purpose',
        declared: [task.purpose],
        observed: prompts.map(({ digest, source }) => `prompt ${digest} (${source})`),
        unused: [],
      },
      {
        bound: 'tools',
        declared: bounds.tools,
        observed: items.map(({ tool, permitted, denied, held }) =>
          [`${tool} ${permitted}×`, denied > 0 && `${denied} denied`, held > 0 && `${held} held`]
            .filter(Boolean)
            .join(', '),
        ),
        unused: bounds.tools.filter((pattern) => !made.some(({ tool }) => coversTool([pattern], tool))),
      },
      {
        bound: 'classes',
        declared: bounds.actionClasses,
        observed: [...classes].map(([name, count]) => `${name} ${count}×`),
        unused: bounds.actionClasses.filter((name) => !classes.has(name)),
      },
      {
        bound: 'resources',
        declared: bounds.resources,
        observed: [...leased].map((resource) => `leased ${resource}`),
        unused: bounds.resources.filter((resource) => !leased.has(resource)),
      },
      {
        bound: 'calls',
        declared: [String(bounds.calls)],
        observed: [String(callsUsed)],
        unused: left > 0 ? [String(left)] : [],
      },
      {
        bound: 'time',
        declared: [`${timeText(task.startedAt)} to ${timeText(task.expiresAt)}`],
        observed: [lastCall === undefined ? 'no call' : `last call ${lastCall}`, state],
        unused: [],
      },
      {
        bound: 'destinations',
        declared: template?.flow?.destinations ?? [],
        observed: destinations.map(
          ({ tool, argument, origin, needed, count }) =>
            `held: ${tool} ${argument} from ${origin}, ${needed} needed, ${count}×`,
        ),
        unused: [],
      },
    ],
  };
}

const timeText = (time: number): string => new Date(time).toISOString();
