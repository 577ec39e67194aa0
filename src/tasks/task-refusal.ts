/** Why a task was not started, continued or charged: an expected answer, so a value (never an exception). */
export type TaskRefusalCode =
  | 'unknown_template'
  | 'agent_not_allowed'
  | 'user_required'
  /** The declaration asks for more than the template holds. */
  | 'widening'
  /** The declaration is not well formed. */
  | 'malformed'
  | 'too_many_tasks'
  /** No such task for this agent: another agent's task is answered the same way. */
  | 'not_found'
  | 'ended'
  /** An administrator holds back the task, its agent or everything. */
  | 'suspended'
  | 'budget_exhausted';

export interface TaskRefusal {
  readonly refused: TaskRefusalCode;
  /** Field of the declaration, for example `tools`; undefined where no single field is to blame. */
  readonly field: string | undefined;
  /** The offending value, as text. */
  readonly value: string | undefined;
  /** What would have been accepted. */
  readonly allowed: readonly string[];
  /** One sentence naming field, value and allowed set. */
  readonly reason: string;
}

const LISTED = 20;

/** One text for an allowed set, cut where it would flood an error message. */
export function listAllowed(allowed: readonly string[]): string {
  if (allowed.length === 0) return 'none';
  const rest = allowed.length - LISTED;
  return allowed.slice(0, LISTED).join(', ') + (rest > 0 ? ` and ${rest} more` : '');
}

export function refuseTask(
  refused: TaskRefusalCode,
  reason: string,
  more: { field?: string; value?: string; allowed?: readonly string[] } = {},
): TaskRefusal {
  return { refused, reason, field: more.field, value: more.value, allowed: more.allowed ?? [] };
}

export function isTaskRefusal(value: object): value is TaskRefusal {
  return 'refused' in value;
}
