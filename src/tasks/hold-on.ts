import type { AgentId, TaskId } from '../domain/ids.ts';
import type { Revocation, Standing } from '../domain/revocation.ts';
import { refuseTask, type TaskRefusal } from './task-refusal.ts';

/** A task as far as the revocation log knows it. */
export interface Holdable {
  readonly id: TaskId;
  readonly agent: AgentId;
}

/**
 * The row of the log that holds a task back: of everything, of its agent, of itself, or of a task above it or that one's agent.
 * @param chain the task and those above it, as far as they are live
 */
export function holdOn(standing: Standing, chain: readonly Holdable[]): Revocation | undefined {
  const all = standing.on('all', '');
  if (all !== undefined) return all;
  for (const { id, agent } of chain) {
    const row = standing.on('agent', agent) ?? standing.on('task', id);
    if (row !== undefined) return row;
  }
  return undefined;
}

/** Why an agent may start nothing now; undefined when it may. */
export function refuseStart(standing: Standing, agent: AgentId): TaskRefusal | undefined {
  const row = standing.on('all', '') ?? standing.on('agent', agent);
  if (row === undefined) return undefined;
  return row.subject.kind === 'all'
    ? refuseTask(
        'suspended',
        'no task is started now: an administrator has stopped all work. Try again when it is lifted',
      )
    : refuseTask(
        'suspended',
        `agent '${agent}' is suspended: ask its owner. It can start tasks again when it is resumed`,
      );
}

/** What an agent is told that a task of its is suspended by. The administrator's own words are not for it: they may be about it. */
export const suspendedBy = (id: TaskId, { subject }: Revocation): string =>
  subject.kind === 'agent' ? `agent ${subject.id} is suspended` : `task ${id} is suspended`;
