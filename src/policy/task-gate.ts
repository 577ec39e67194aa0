import { type Principal, type User, userKey } from '../domain/principal.ts';
import { coversTool, type Task, type TaskTemplate } from '../domain/task.ts';
import type { GovernedTool, ToolProfile } from '../domain/tool.ts';
import { type Denial, denial } from './denial.ts';

/** Longest that the clock may stand before a task's start: more is not skew between machines but a broken clock. */
const MAX_CLOCK_SKEW_MS = 5 * 60_000;

/** The tool must be described by its owner, with the definition that was approved. */
export function checkTool(tool: GovernedTool): Denial | undefined {
  if (tool.status === 'quarantined') {
    return denial(
      'profile',
      'remit:quarantined',
      `${tool.ref} has changed since its owner approved it.`,
      'Ask the owner of the connector to review the new definition and approve it.',
    );
  }
  if (tool.status === 'suspended') {
    return denial(
      'profile',
      'remit:suspended',
      `The connector ${tool.connector} is suspended.`,
      'Use another tool. This one can be called again when the connector is resumed.',
    );
  }
  if (tool.status === 'described' && tool.profile !== undefined) return undefined;
  return denial(
    'profile',
    'remit:undescribed',
    `${tool.ref} has not been described by its owner.`,
    'Ask the owner of the connector to describe it.',
  );
}

/** A time that cannot be right decides nothing. */
export function checkClock(now: number, task: Task): Denial | undefined {
  if (Number.isFinite(now) && now >= task.startedAt - MAX_CLOCK_SKEW_MS) return undefined;
  return denial(
    'fault',
    'remit:clock',
    'The clock of the gateway cannot be right.',
    'Ask the operator of the gateway to check its clock.',
  );
}

/** The caller must be the one whom the task was started for: a task id alone opens nothing (guarantee I1). */
export function checkTaskPrincipal(principal: Principal, task: Task): Denial | undefined {
  const isOwn =
    principal.task === task.id &&
    principal.tenant === task.tenant &&
    (principal.agent === task.agent || principal.actors.includes(task.agent)) &&
    keyOf(principal.user) === keyOf(task.user);
  if (isOwn) return undefined;
  return denial(
    'task',
    'remit:task-principal',
    'The task was started by or for somebody else.',
    'Start a task of your own.',
  );
}

const keyOf = (user: User | undefined): string | undefined => user && userKey(user);

/** The task must be under way. Written so that a time that is not a number counts as past. */
export function checkTaskState(task: Task, now: number): Denial | undefined {
  const start = 'Start a new task.';
  if (task.state === 'suspended') {
    return denial(
      'task',
      'remit:suspended',
      'The task is suspended.',
      'Stop, and tell your user. Its calls are served again when it is resumed.',
    );
  }
  if (task.state !== 'active') {
    const why = task.endReason === undefined ? '' : ` (${task.endReason})`;
    return denial('task', 'remit:task-ended', `The task has ended${why}.`, start);
  }
  return now < task.expiresAt ? undefined : denial('task', 'remit:task-ended', 'The task has expired.', start);
}

/** The task must name the tool and its action class. */
export function checkTaskBounds(task: Task, tool: GovernedTool, profile: ToolProfile): Denial | undefined {
  const next = 'Use a tool of the task, or start a task that includes this one.';
  if (!coversTool(task.bounds.tools, tool.ref)) {
    return denial('task', 'remit:task-tool', `The task does not include ${tool.ref}.`, next);
  }
  if (task.bounds.actionClasses.includes(profile.actionClass)) return undefined;
  return denial('task', 'remit:task-class', `The task does not include actions of class ${profile.actionClass}.`, next);
}

/**
 * The template as it is now must still allow it: one that was narrowed or withdrawn since the task began binds at once.
 * @param template undefined when it exists no more
 */
export function checkTemplate(
  request: { principal: Principal; task: Task; template: TaskTemplate | undefined; tool: GovernedTool },
  profile: ToolProfile,
  now: number,
): Denial | undefined {
  const { principal, task, template, tool } = request;
  const no = (reason: string, next = 'Start a new task, under a template that allows this.') =>
    denial('task', 'remit:template', reason, next);
  if (template === undefined || template.id !== task.template)
    return no(`The template ${task.template} exists no more.`);
  if (!template.agents.includes(task.agent))
    return no(`The template ${template.id} is no longer open to ${task.agent}.`);
  if (template.requiresUser && principal.user === undefined) return no(`The template ${template.id} requires a user.`);
  if (!(now < task.startedAt + template.maxDurationSeconds * 1000)) {
    return no(`The template ${template.id} no longer allows a task to last so long.`);
  }
  if (!coversTool(template.bounds.tools, tool.ref)) {
    return no(`The template ${template.id} no longer includes ${tool.ref}.`);
  }
  if (template.bounds.actionClasses.includes(profile.actionClass)) return undefined;
  return no(`The template ${template.id} no longer includes actions of class ${profile.actionClass}.`);
}

/**
 * A call must be left, under the task's budget and under the template's of now. Anything but a number counts as none.
 * @param callsLeft what the task's own budget has left before this call
 */
export function checkBudget(task: Task, template: TaskTemplate | undefined, callsLeft: number): Denial | undefined {
  const own = Math.min(callsLeft, task.bounds.calls);
  const left = Math.min(own, (template?.bounds.calls ?? 0) - (task.bounds.calls - own));
  if (Number.isSafeInteger(callsLeft) && left >= 1) return undefined;
  return denial('budget', 'remit:budget', 'The task has no calls left.', 'End the task and start a new one.');
}
