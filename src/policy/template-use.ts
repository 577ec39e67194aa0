import type { AgentId, TemplateId, ToolRef } from '../domain/ids.ts';
import { coversTool, type Task, type TaskTemplate } from '../domain/task.ts';
import { ACTION_CLASSES, type ActionClass } from '../domain/tool.ts';

/** What tasks under a template asked for and did in a span of time. */
export interface TemplateUse {
  readonly tasks: Set<string>;
  readonly agents: Set<AgentId>;
  readonly tools: Set<ToolRef>;
  readonly classes: Set<ActionClass>;
  /** Most calls that one task had permitted, and how long after its start the last of a task came. */
  calls: number;
  lastsMs: number;
  /** What tasks named for themselves: taken away, the same declaration would be refused. */
  readonly declared: {
    readonly tools: Set<string>;
    readonly classes: Set<ActionClass>;
    calls: number;
    seconds: number;
  };
}

export const newTemplateUse = (): TemplateUse => ({
  tasks: new Set(),
  agents: new Set(),
  tools: new Set(),
  classes: new Set(),
  calls: 0,
  lastsMs: 0,
  declared: { tools: new Set(), classes: new Set(), calls: 0, seconds: 0 },
});

/** Notes a task; what differs from its template's own bounds was asked for by name. */
export function noteTask(
  use: TemplateUse,
  template: TaskTemplate,
  { id, agent, bounds, startedAt, expiresAt }: Task,
): void {
  if (use.tasks.has(id)) return;
  use.tasks.add(id);
  use.agents.add(agent);
  const { declared } = use;
  const own = template.bounds;
  if (!isSameSet(bounds.tools, own.tools)) for (const tool of bounds.tools) declared.tools.add(tool);
  if (!isSameSet(bounds.actionClasses, own.actionClasses))
    for (const one of bounds.actionClasses) declared.classes.add(one);
  if (bounds.calls !== own.calls) declared.calls = Math.max(declared.calls, bounds.calls);
  const seconds = Math.round((expiresAt - startedAt) / 1000);
  if (seconds !== template.maxDurationSeconds) declared.seconds = Math.max(declared.seconds, seconds);
}

const isSameSet = (left: readonly string[], right: readonly string[]): boolean =>
  left.length === right.length && left.every((one) => right.includes(one));

/** A narrower template, as far as its use goes; what is left out stays as it is. */
export interface NarrowedTemplate {
  readonly template: TemplateId;
  readonly owner: string;
  readonly tasks: number;
  readonly change: 'kept' | 'narrowed' | 'unused';
  readonly agents?: readonly AgentId[];
  readonly classes?: readonly ActionClass[];
  readonly tools?: readonly string[];
  readonly calls?: number;
  readonly maxDurationSeconds?: number;
  /** Named by declarations and never called: kept, as it would refuse them. */
  readonly declaredOnly: readonly string[];
}

/** What was used at most is given half as much again: the next task is not the last one. */
const ROOM = 1.5;

/** What is left of a template when what its tasks neither used nor named is taken away, with some room. */
export function narrowTemplate(template: TaskTemplate, use: TemplateUse | undefined): NarrowedTemplate {
  const { id, owner, bounds, maxDurationSeconds } = template;
  if (use === undefined || use.tasks.size === 0)
    return { template: id, owner, tasks: 0, change: 'unused', declaredOnly: [] };
  const { declared } = use;
  const tools = narrowTools(bounds.tools, use);
  const classes = ACTION_CLASSES.filter(
    (one) => bounds.actionClasses.includes(one) && (use.classes.has(one) || declared.classes.has(one)),
  );
  const agents = template.agents.filter((agent) => use.agents.has(agent));
  const calls = Math.min(bounds.calls, Math.max(declared.calls, Math.ceil(use.calls * ROOM), 1));
  const longest = Math.ceil((use.lastsMs * ROOM) / 60_000) * 60;
  const seconds = Math.min(maxDurationSeconds, Math.max(declared.seconds, longest, 60));
  const changes = {
    ...(agents.length < template.agents.length && agents.length > 0 && { agents }),
    // A task has at least one of each: where nothing was called, nothing is known.
    ...(classes.length < bounds.actionClasses.length && classes.length > 0 && { classes }),
    ...(!isSameSet(tools, bounds.tools) && tools.length > 0 && { tools }),
    ...(calls < bounds.calls && { calls }),
    ...(seconds < maxDurationSeconds && { maxDurationSeconds: seconds }),
  };
  const isChanged = Object.keys(changes).length > 0;
  const declaredOnly = [...declared.tools].filter(
    (pattern) => ![...use.tools].some((tool) => coversTool([pattern], tool)),
  );
  return {
    template: id,
    owner,
    tasks: use.tasks.size,
    change: isChanged ? 'narrowed' : 'kept',
    ...changes,
    declaredOnly,
  };
}

/** In the template's own order: a pattern gives way to the items of it that were called, and to what was declared by name. */
function narrowTools(patterns: readonly string[], { tools, declared }: TemplateUse): string[] {
  const kept = patterns.flatMap((pattern) => {
    if (declared.tools.has(pattern)) return [pattern];
    const named = [...tools, ...declared.tools].filter((tool) => coversTool([pattern], tool as ToolRef));
    return [...new Set<string>(named)].sort();
  });
  return [...new Set(kept)];
}
