import type { AgentId, TaskId } from '../domain/ids.ts';
import { DEVIATION, type Revocation } from '../domain/revocation.ts';
import type { TaskEndReason } from '../domain/task.ts';
import type { Holdable } from './hold-on.ts';
import type { TaskEntry } from './suspensions.ts';
import type { TaskTree } from './task-tree.ts';

/** What a row of the revocation log did to tasks. */
export interface AppliedToTasks {
  readonly ended: readonly TaskId[];
  readonly suspended: readonly TaskId[];
  readonly resumed: readonly TaskId[];
  /** Resolves when listeners are done, those of ended tasks too; what failed is logged and retried. */
  readonly done: Promise<unknown>;
}

const NOTHING: AppliedToTasks = { ended: [], suspended: [], resumed: [], done: Promise.resolve() };

/**
 * Makes a row true of tasks: those that it names, all that began below them, and, when it ends them, those that are being started. Each is
 * refused to callers before this returns.
 */
export function applyRevocation(
  row: Revocation,
  tasks: {
    readonly entries: ReadonlyMap<TaskId, TaskEntry>;
    readonly starting: Iterable<Holdable>;
    readonly tree: TaskTree;
    end(id: TaskId, reason: TaskEndReason): Promise<unknown>;
    /** True when whether it is held back has changed. */
    reconsider(entry: TaskEntry): boolean;
    follow(entry: TaskEntry): Promise<void>;
  },
): AppliedToTasks {
  const { entries, starting, tree } = tasks;
  const { kind, id: named } = row.subject;
  if (kind === 'connector' || kind === 'lease') return NOTHING;
  const isNamed = ({ id, agent }: { id: TaskId; agent: AgentId }): boolean =>
    kind === 'all' || (kind === 'agent' ? agent : id) === named;
  const hit = new Set<TaskId>();
  for (const { task } of entries.values()) {
    if (isNamed(task)) for (const id of tree.withDescendants(task.id)) hit.add(id);
  }
  if (row.action === 'revoke') {
    for (const begun of starting) if (isNamed(begun)) hit.add(begun.id);
    const ended = [...hit].filter((id) => entries.get(id)?.isClosing !== true);
    const reason = row.by === DEVIATION ? 'deviated' : 'revoked';
    return { ...NOTHING, ended, done: Promise.all([...hit].map((id) => tasks.end(id, reason))) };
  }
  const changed = [...hit]
    .flatMap((id) => entries.get(id) ?? [])
    .filter((entry) => tasks.reconsider(entry) && !entry.isClosing);
  const idsWhere = (isHeld: boolean): TaskId[] =>
    changed.filter(({ heldBy }) => (heldBy !== undefined) === isHeld).map(({ task }) => task.id);
  return {
    ended: [],
    suspended: idsWhere(true),
    resumed: idsWhere(false),
    done: Promise.all(changed.map(tasks.follow)),
  };
}
