import { type FlowLabels, isAsGood, NO_LABELS, type ValueProvenance } from '../domain/flow.ts';
import type { ConnectorId, TaskId, ToolRef } from '../domain/ids.ts';
import type { AuditRecord } from '../domain/record.ts';
import type { Task } from '../domain/task.ts';
import { createDecisionFold } from './recorded-decisions.ts';
import { readTaskStarted } from './recorded-task.ts';

/** How often an item was asked for, and how that was decided. */
export interface ObservedItem {
  readonly tool: ToolRef;
  permitted: number;
  denied: number;
  held: number;
}

/** A value that was not vouched for well enough; never the value. */
export interface HeldDestination {
  readonly tool: ToolRef;
  readonly argument: string;
  readonly origin: string;
  readonly needed: string;
  count: number;
}

export interface ObservedLease {
  readonly lease: string;
  readonly connector: string;
  readonly resources: readonly string[];
  scope?: string;
  /** How the right to it ended; undefined while it lives. */
  end?: string;
}

/** What a task declared, and what it did, by the trail alone. */
export interface ObservedTask {
  readonly task: Task;
  /** The node in whose journal its beginning stands, where that is not among the records. */
  readonly cameFrom: string | undefined;
  state: string;
  readonly prompts: { readonly digest: string; readonly source: string; readonly time: string }[];
  readonly items: ObservedItem[];
  /** Calls for what there is not, or what is not served. */
  unknownItems: number;
  listings: number;
  /** Of its budget: its own, and those of tasks below it. */
  callsUsed: number;
  readonly children: TaskId[];
  lastCall: string | undefined;
  labels: FlowLabels;
  outward: number;
  readonly destinations: HeldDestination[];
  readonly deviations: { readonly what: string; readonly count: number; readonly consequence: string }[];
  readonly approvals: { readonly approval: string; verdict: string; end: string }[];
  readonly leases: ObservedLease[];
}

/**
 * Watches one task from its start on: one reading.
 * @returns undefined when its start is not among the records
 */
export async function observeTask(records: AsyncIterable<AuditRecord>, id: TaskId): Promise<ObservedTask | undefined> {
  const fold = createDecisionFold();
  let seen: ObservedTask | undefined;
  for await (const record of records) {
    if (record.task === id && (record.type === 'task_started' || record.type === 'task_adopted')) {
      const started = readTaskStarted(record);
      // What it has used meanwhile at another node counts; what else it did there stands in that one's journal.
      const { from } = record.detail;
      if (started !== undefined) seen ??= newObservation(started.task, typeof from === 'string' ? from : undefined);
      if (seen !== undefined) seen.callsUsed = Math.max(seen.callsUsed, Number(record.detail.used) || 0);
    }
    // A family shares what it has read: the other tasks are folded, too.
    const decided = fold(record);
    if (seen === undefined || record.task === undefined) continue;
    if (record.task !== id) {
      noteBelow(seen, record.task, record);
      continue;
    }
    if (decided !== undefined) noteDecision(seen, record, decided.after);
    else noteEvent(seen, record);
  }
  return seen;
}

const newObservation = (task: Task, cameFrom: string | undefined): ObservedTask => ({
  task,
  cameFrom,
  state: 'active',
  prompts: [],
  items: [],
  unknownItems: 0,
  listings: 0,
  callsUsed: 0,
  children: [],
  lastCall: undefined,
  labels: NO_LABELS,
  outward: 0,
  destinations: [],
  deviations: [],
  approvals: [],
  leases: [],
});

function noteBelow(seen: ObservedTask, id: TaskId, { type, detail }: AuditRecord): void {
  const { children, task } = seen;
  if (type === 'task_started') {
    if (detail.parent === task.id || children.some((child) => child === detail.parent)) children.push(id);
  } else if (type === 'decision' && detail.verdict === 'permit' && detail.effect === 'call' && children.includes(id)) {
    seen.callsUsed += 1;
  }
}

function noteDecision(seen: ObservedTask, { type, tool, time, detail }: AuditRecord, labels: FlowLabels): void {
  seen.labels = labels;
  if (type === 'discovery') {
    seen.listings += 1;
    return;
  }
  const { verdict, effect, approval } = detail;
  if (effect !== 'call') return;
  if (tool === undefined) {
    seen.unknownItems += 1;
    return;
  }
  seen.lastCall = time;
  const item = itemOf(seen, tool);
  if (verdict === 'permit') {
    item.permitted += 1;
    seen.callsUsed += 1;
    // The same call stands above as held.
    if (approval !== undefined) item.held -= 1;
  } else if (verdict === 'step_up') item.held += 1;
  else item.denied += 1;
  const flow = detail.flow as { provenance?: readonly ValueProvenance[]; outward?: number } | undefined;
  seen.outward = Math.max(seen.outward, flow?.outward ?? 0);
  if (verdict !== 'step_up') return;
  for (const { argument, origin, needed } of flow?.provenance ?? []) {
    if (isAsGood(origin, needed)) continue;
    const known = seen.destinations.find(
      (one) => one.tool === tool && one.argument === argument && one.origin === origin,
    );
    if (known === undefined) seen.destinations.push({ tool, argument, origin, needed, count: 1 });
    else known.count += 1;
  }
}

function itemOf({ items }: ObservedTask, tool: ToolRef): ObservedItem {
  const known = items.find((item) => item.tool === tool);
  if (known !== undefined) return known;
  const made = { tool, permitted: 0, denied: 0, held: 0 };
  items.push(made);
  return made;
}

function noteEvent(seen: ObservedTask, record: AuditRecord): void {
  const { type, time, detail } = record;
  switch (type) {
    case 'prompt':
      seen.prompts.push({ digest: String(detail.digest), source: String(detail.source), time });
      return;
    case 'task_suspended':
      seen.state = 'suspended';
      return;
    case 'task_resumed':
      seen.state = 'active';
      return;
    case 'task_ended':
      seen.state = `ended (${String(detail.reason)})`;
      return;
    case 'deviation':
      seen.deviations.push({
        what: String(detail.what),
        count: Number(detail.count),
        consequence: String(detail.consequence),
      });
      return;
    case 'approval_requested':
    case 'approval_verdict':
    case 'approval_used':
    case 'approval_ended':
      noteApproval(seen, record);
      return;
    default:
      noteLease(seen, record);
  }
}

function noteApproval({ approvals }: ObservedTask, { type, detail }: AuditRecord): void {
  const id = String(detail.approval);
  let known = approvals.find(({ approval }) => approval === id);
  if (known === undefined) {
    known = { approval: id, verdict: 'none yet', end: 'waits' };
    approvals.push(known);
  }
  if (type === 'approval_verdict') known.verdict = `${String(detail.verdict)} by ${String(detail.by)}`;
  if (type === 'approval_used') known.end = 'used';
  if (type === 'approval_ended') known.end = String(detail.state);
}

function noteLease(
  { leases }: ObservedTask,
  { type, lease, connector = '' as ConnectorId, detail }: AuditRecord,
): void {
  if (lease === undefined) return;
  let known = leases.find((one) => one.lease === lease);
  if (known === undefined && type.startsWith('credential_')) {
    const resources = Array.isArray(detail.resources) ? detail.resources.map(String) : [];
    known = { lease, connector, resources };
    leases.push(known);
  }
  if (known === undefined) return;
  if (type === 'credential_issued' && typeof detail.scope === 'string') known.scope = detail.scope;
  if (type === 'revocation') known.end = String(detail.outcome);
}
