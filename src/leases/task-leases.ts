import type { ConnectorId, LeaseId, TaskId, ToolRef } from '../domain/ids.ts';
import type { Lease } from '../domain/lease.ts';
import type { Secret } from '../domain/secret.ts';
import type { Task } from '../domain/task.ts';
import type { ActionClass } from '../domain/tool.ts';
import type { HeldLease, HeldLeaseControl } from './held-lease.ts';
import type { IssueAttempt } from './issue-lease.ts';
import type { IssuerBinding } from './lease-context.ts';

/** What a credential is for, where it is not for the whole task: an item of the connector, as its owner described it. */
export interface LeasedItem {
  readonly ref: ToolRef;
  readonly profile: { readonly actionClass: ActionClass } | undefined;
}

/** A task's leases in this process. */
export interface TaskLeases {
  readonly task: Task;
  /** Everything live, retired leases included. */
  readonly held: Set<Held>;
  readonly slots: Map<string, Slot>;
}

/** A place for one credential at a time, and for the issue that fills it. */
export interface Slot {
  readonly key: string;
  held: Held | undefined;
  /** From then on a new lease is asked for. */
  renewAt: number;
  pending: Pending | undefined;
}

export interface Pending {
  readonly attempt: IssueAttempt;
  readonly done: Promise<HeldLease>;
  readonly settled: Promise<void>;
}

export interface Held {
  readonly control: HeldLeaseControl;
  readonly handle: Secret | undefined;
  /** Key of the slot that it was issued into. */
  readonly key: string;
  cancelExpiry: () => void;
}

export type TaskMap = Map<TaskId, TaskLeases>;

/**
 * Where a credential is looked for: one place a connector, one a tool of it, or, for a single call, none: its lease's own id, which nobody
 * looks for. A connector's id holds no slash and a tool's ref does, so that neither is taken for the other.
 */
export function slotKey(
  { mode }: Pick<IssuerBinding, 'mode'>,
  connector: ConnectorId,
  item: LeasedItem | undefined,
  lease: LeaseId,
): string {
  if (mode === 'call') return lease;
  return mode === 'task_tool' && item !== undefined ? item.ref : connector;
}

/** Held or being issued in this process. */
export function findOurs(
  tasks: TaskMap,
  id: LeaseId,
): { leases: TaskLeases; held?: Held; pending?: Pending } | undefined {
  for (const leases of tasks.values()) {
    for (const held of leases.held) if (held.control.lease.id === id) return { leases, held };
    for (const { pending } of leases.slots.values()) if (pending?.attempt.lease.id === id) return { leases, pending };
  }
  return undefined;
}

/** What matches, of what is held and of what is being issued, at this moment. */
export function findWhere(
  tasks: TaskMap,
  matches: (lease: Lease) => boolean,
): readonly { leases: TaskLeases; held: Held[]; pending: Pending[] }[] {
  return [...tasks.values()].map((leases) => ({
    leases,
    held: [...leases.held].filter(({ control }) => matches(control.lease)),
    pending: [...leases.slots.values()].flatMap(({ pending }) =>
      pending !== undefined && matches(pending.attempt.lease) ? [pending] : [],
    ),
  }));
}

/** Takes out slots that hold nothing, and a task that has none. */
export function forgetIfEmpty(tasks: TaskMap, leases: TaskLeases): void {
  for (const [key, slot] of leases.slots) {
    if (slot.held === undefined && slot.pending === undefined) leases.slots.delete(key);
  }
  const isEmpty = leases.slots.size === 0 && leases.held.size === 0;
  if (isEmpty && tasks.get(leases.task.id) === leases) tasks.delete(leases.task.id);
}
