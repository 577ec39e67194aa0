import { type DecisionFlow, type FlowLabels, joinLabels, NO_LABELS, readRemembered } from '../domain/flow.ts';
import type { TaskId } from '../domain/ids.ts';
import type { AuditRecord } from '../domain/record.ts';
import type { Task } from '../domain/task.ts';
import { decodeRecord, peekType } from './decode-record.ts';
import type { Payloads } from './read-records.ts';
import { type RecordedTask, readTaskStarted } from './recorded-task.ts';

/** A decision on a call, or a listing, with what the order of the log adds to its own record. */
export interface RecordedDecision {
  readonly record: AuditRecord;
  /** As it was at that time; undefined where its start is not on the trail any more. */
  readonly task: Task | undefined;
  /** Whether the task's record says all that decisions go by. */
  readonly isWhole: boolean;
  /** What its budget, and those of the tasks above it, had left before this. */
  readonly callsLeft: number;
  /** What the task and its family had read before this, and with it. */
  readonly before: FlowLabels;
  readonly after: FlowLabels;
}

interface Known extends RecordedTask {
  state: Task['state'];
  permitted: number;
}

const FOLDED: ReadonlySet<string> = new Set([
  'task_started',
  'task_adopted',
  'task_suspended',
  'task_resumed',
  'task_ended',
  'decision',
  'discovery',
]);

/**
 * Decisions and listings in the order of the log, each with what was known when it was made: one reading, and memory for tasks that have not ended.
 * @param payloads from a position on at which no task of interest had begun
 */
export async function* readRecordedDecisions(payloads: Payloads): AsyncGenerator<RecordedDecision, void> {
  const fold = createDecisionFold();
  for await (const { position, payload } of payloads) {
    const type = peekType(payload);
    if (type !== undefined && !FOLDED.has(type)) continue;
    const decided = fold(decodeRecord(position, payload));
    if (decided !== undefined) yield decided;
  }
}

/** Takes records in their order; gives the decision or listing that one is, and undefined for any other. */
export function createDecisionFold(): (record: AuditRecord) => RecordedDecision | undefined {
  const tasks = new Map<TaskId, Known>();
  /** By the task at the top of each family. */
  const read = new Map<TaskId, FlowLabels>();

  /** The task and those above it, nearest first; `top` even where its start is not among the records. */
  function chainOf(id: TaskId): { readonly chain: readonly Known[]; readonly top: TaskId } {
    const chain: Known[] = [];
    let top = id;
    // A family is a few links deep; a ring of parents, which nobody of ours writes, ends too.
    for (let depth = 0; depth < 32; depth += 1) {
      const known = tasks.get(top);
      if (known === undefined) break;
      chain.push(known);
      if (known.task.parent === undefined) break;
      top = known.task.parent;
    }
    return { chain, top };
  }

  function decided(record: AuditRecord): RecordedDecision {
    const { task: id, detail } = record;
    const known = id === undefined ? undefined : tasks.get(id);
    const { chain, top } = id === undefined ? { chain: [], top: undefined } : chainOf(id);
    const isPermit = record.type === 'decision' && detail.verdict === 'permit';
    // Exact where the item is in the flow of data; of any other what the family had read by the last record that says so.
    const said = readRemembered(detail.flow)?.labels;
    const readSoFar = (top === undefined ? undefined : read.get(top)) ?? NO_LABELS;
    const before =
      readRemembered({ labels: (detail.flow as Partial<DecisionFlow> | undefined)?.before, outward: 0 })?.labels ??
      said ??
      readSoFar;
    const after = joinLabels(joinLabels(readSoFar, before), said ?? before);
    if (top !== undefined && after !== readSoFar) read.set(top, after);
    // A budget is of a task with all below it.
    const callsLeft = Math.min(...chain.map(({ task, permitted }) => task.bounds.calls - permitted));
    if (isPermit && detail.effect === 'call') for (const one of chain) one.permitted += 1;
    return {
      record,
      task: known && (known.state === 'active' ? known.task : { ...known.task, state: known.state }),
      isWhole: known?.isWhole === true,
      callsLeft: known === undefined ? Number.NaN : callsLeft,
      before,
      after,
    };
  }

  return (record) => {
    const { type, task: id } = record;
    const known = id === undefined ? undefined : tasks.get(id);
    switch (type) {
      case 'task_started': {
        const started = readTaskStarted(record);
        if (started !== undefined) tasks.set(started.task.id, { ...started, state: 'active', permitted: 0 });
        return undefined;
      }
      case 'task_adopted': {
        const adopted = readTaskStarted(record);
        if (adopted === undefined) return undefined;
        const { task } = adopted;
        const permitted = Math.max(known?.permitted ?? 0, Number(record.detail.used) || 0);
        tasks.set(task.id, { ...adopted, state: known?.state ?? 'active', permitted });
        const labels = readRemembered(record.detail.flow)?.labels;
        if (labels !== undefined) read.set(task.id, joinLabels(read.get(task.id) ?? NO_LABELS, labels));
        return undefined;
      }
      case 'task_suspended':
        if (known !== undefined) known.state = 'suspended';
        return undefined;
      case 'task_resumed':
        if (known !== undefined) known.state = 'active';
        return undefined;
      case 'task_ended':
        if (id !== undefined) {
          tasks.delete(id);
          read.delete(id);
        }
        return undefined;
      case 'decision':
        return decided(record);
      case 'discovery':
        return record.task === undefined ? undefined : decided(record);
      default:
        return undefined;
    }
  };
}
