import { RemitError } from '../domain/errors.ts';
import type { ConnectorId, LeaseId, TaskId, ToolRef } from '../domain/ids.ts';
import type { Lease } from '../domain/lease.ts';
import type { Secret } from '../domain/secret.ts';
import type { Task } from '../domain/task.ts';
import { createHeldLease, type HeldLease, type HeldLeaseControl } from './held-lease.ts';
import { calledOff, draftLease, type IssueAttempt, issueLease } from './issue-lease.ts';
import { createLapseWatch } from './lapse-leases.ts';
import { type IssuerBinding, LEASE_LIMITS, type LeaseLimits, type RevokeContext } from './lease-context.ts';
import { type RecoveryReport, recoverLeases } from './recover-leases.ts';
import { createRevocations } from './revocations.ts';
import { faultText } from './revoke-lease.ts';

export interface LeaseManagerOptions extends Omit<RevokeContext, 'limits'> {
  readonly limits?: Partial<LeaseLimits>;
  /**
   * Called when a lease must not be used any more: close the upstream connections opened with it. For `renewed`, the
   * lease stays good until the returned promise has resolved and its users are done, at most until it expires; for any
   * other reason it is revoked at once.
   */
  readonly onRetired?: (lease: Lease, reason: string) => void | Promise<void>;
}

export interface LeaseManager {
  /**
   * The live credential of this task at this connector: from memory without a promise where there is one, else issued,
   * once for all who ask meanwhile. Undefined when the connector needs none.
   * @throws `ERR_CREDENTIAL_ISSUE`, `ERR_STATIC_WITHOUT_EXCEPTION`, `ERR_TASK_REFUSED` (not active), `ERR_STORE_*`,
   * whatever `audit` throws: the call is refused
   */
  acquire(task: Task, connector: ConnectorId, tool?: ToolRef): HeldLease | Promise<HeldLease> | undefined;
  /**
   * Ends every lease of a task for good; an issue under way ends revoked. Resolves with the leases as they stand after
   * the first attempt: one that is still `revoking` is tried on and must not be called revoked (L7).
   * @throws `ERR_STORE_*` when the task's rows cannot be read: what is known in memory is revoked all the same
   */
  revokeTask(task: TaskId, reason: string): Promise<Lease[]>;
  /** Ends one lease; its task may get a new one. @throws `ERR_NOT_FOUND` */
  revoke(lease: LeaseId, reason: string): Promise<Lease>;
  /** Ends everything held here, for a graceful stop. */
  revokeAll(reason: string): Promise<Lease[]>;
  /** Call once, before the first `acquire`. */
  recover(): Promise<RecoveryReport>;
  /** Leases in use here and revocations not confirmed yet. */
  counts(): { held: number; issuing: number; revoking: number };
  /** Stops timers and retries; nothing is acquired afterwards. Rows that are left are recovered at the next start. */
  close(): void;
}

/** A task's leases in this process. */
interface TaskLeases {
  readonly task: Task;
  /** Everything live, retired leases included. */
  readonly held: Set<Held>;
  readonly slots: Map<ConnectorId, Slot>;
}

interface Slot {
  held: Held | undefined;
  /** From then on a new lease is asked for. */
  renewAt: number;
  pending:
    | { readonly attempt: IssueAttempt; readonly done: Promise<HeldLease>; readonly settled: Promise<void> }
    | undefined;
}

interface Held {
  readonly control: HeldLeaseControl;
  readonly handle: Secret | undefined;
  cancelExpiry: () => void;
}

/** Renewal starts with this share of a lease's life left. */
const RENEWAL_SHARE = 0.1;
const RENEWAL_RETRY_MS = 5_000;
/** Longest life that a task can have: an ended one is remembered as long, so that no late call revives it. */
const LONGEST_TASK_MS = 86_400_000;

export function createLeaseManager(options: LeaseManagerOptions): LeaseManager {
  const context: RevokeContext = { ...options, limits: { ...LEASE_LIMITS, ...options.limits } };
  const { tenant, repository, issuerOf, clock, schedule, log } = context;
  const tasks = new Map<TaskId, TaskLeases>();
  /** Ended tasks, with the time from which their expiry refuses them anyway; in order of ending. */
  const endedTasks = new Map<TaskId, number>();
  const lapses = createLapseWatch(context);
  const revocations = createRevocations(context, (lease) => {
    if (lease.state === 'lapsing') lapses.watch(lease);
  });
  let isClosed = false;

  function acquire(task: Task, connector: ConnectorId, tool?: ToolRef): HeldLease | Promise<HeldLease> | undefined {
    const slot = tasks.get(task.id)?.slots.get(connector);
    if (slot?.held !== undefined && clock() < slot.renewAt) return slot.held.control;
    const binding = issuerOf(connector);
    return binding === undefined ? undefined : acquireNew(task, connector, tool, binding);
  }

  async function acquireNew(
    task: Task,
    connector: ConnectorId,
    tool: ToolRef | undefined,
    binding: IssuerBinding,
  ): Promise<HeldLease> {
    assertServable(task);
    const leases = tasks.get(task.id) ?? { task, held: new Set(), slots: new Map() };
    const slot = leases.slots.get(connector) ?? { held: undefined, renewAt: 0, pending: undefined };
    if (slot.pending === undefined) {
      const attempt: IssueAttempt = {
        lease: draftLease(context, task, connector, tool, binding),
        abort: new AbortController(),
        calledOffFor: undefined,
      };
      tasks.set(task.id, leases);
      leases.slots.set(connector, slot);
      const done = issueInto(leases, slot, binding, attempt).finally(() => {
        slot.pending = undefined;
        forgetIfEmpty(leases);
      });
      slot.pending = { attempt, done, settled: done.then(ignore, ignore) };
    }
    return slot.pending.done;
  }

  function assertServable(task: Task): void {
    if (isClosed) throw new RemitError('ERR_CREDENTIAL_ISSUE', 'the gateway is stopping', { hint: 'Try again later.' });
    if (task.tenant !== tenant) throw new RemitError('ERR_INTERNAL', 'a task of another tenant');
    const isOver = task.state !== 'active' || endedTasks.has(task.id) || clock() >= task.expiresAt;
    if (isOver) throw calledOff(task);
  }

  async function issueInto(
    leases: TaskLeases,
    slot: Slot,
    binding: IssuerBinding,
    attempt: IssueAttempt,
  ): Promise<HeldLease> {
    const { task } = leases;
    try {
      const { lease, injection, handle } = await issueLease(context, revocations, task, binding, attempt);
      const held: Held = { control: createHeldLease(lease, injection), handle, cancelExpiry: ignore };
      leases.held.add(held);
      if (attempt.calledOffFor !== undefined) {
        void end(leases, held, attempt.calledOffFor);
        throw calledOff(task);
      }
      held.cancelExpiry = schedule(Math.max(0, lease.expiresAt - clock()), () => void end(leases, held, 'expired'));
      const previous = slot.held;
      slot.held = held;
      slot.renewAt = renewalTime(lease, task);
      if (previous !== undefined) retire(leases, previous);
      return held.control;
    } catch (error) {
      const previous = slot.held;
      const isUsable = previous?.control.isLive === true && clock() < previous.control.lease.expiresAt;
      if (!isUsable || attempt.calledOffFor !== undefined) throw error;
      // The old one is still good: better that than a refusal. Asked again soon, not at every call.
      slot.renewAt = Math.min(clock() + RENEWAL_RETRY_MS, previous.control.lease.expiresAt);
      log.warn({ lease: previous.control.lease.id, error: faultText(error) }, 'a lease could not be renewed');
      return previous.control;
    }
  }

  /** The old lease of a pair: no new users, revoked when the last one is done. Its expiry timer is still armed. */
  function retire(leases: TaskLeases, held: Held): void {
    void notifyRetired(held.control.lease, 'renewed').then(() =>
      held.control.whenIdle(() => void end(leases, held, 'renewed')),
    );
  }

  async function notifyRetired(lease: Lease, reason: string): Promise<void> {
    try {
      await options.onRetired?.(lease, reason);
    } catch (error) {
      log.error({ lease: lease.id, error: faultText(error) }, 'connections of a retired lease could not be closed');
    }
  }

  /** Out of memory at once, then revoked; resolves with the lease as it stands after the first attempt. */
  function end(leases: TaskLeases, held: Held, reason: string): Promise<Lease> {
    const { lease } = held.control;
    if (held.control.end()) {
      held.cancelExpiry();
      leases.held.delete(held);
      const slot = leases.slots.get(lease.connector);
      if (slot?.held === held) slot.held = undefined;
      forgetIfEmpty(leases);
      if (reason !== 'renewed') void notifyRetired(lease, reason);
    }
    return revocations.start(lease, reason, { isIssued: true, task: leases.task, handle: held.handle });
  }

  function forgetIfEmpty(leases: TaskLeases): void {
    for (const [connector, slot] of leases.slots) {
      if (slot.held === undefined && slot.pending === undefined) leases.slots.delete(connector);
    }
    const isEmpty = leases.slots.size === 0 && leases.held.size === 0;
    if (isEmpty && tasks.get(leases.task.id) === leases) tasks.delete(leases.task.id);
  }

  /** Everything of one task in this process: calls off what is being issued, ends what is held. */
  async function endTask(leases: TaskLeases, reason: string): Promise<Lease[]> {
    const pending = [...leases.slots.values()].flatMap((slot) => slot.pending ?? []);
    const ending = [...leases.held].map((held) => end(leases, held, reason));
    const issuing = pending.map(async ({ attempt, settled }) => callOff(attempt, settled, reason));
    return [...(await Promise.all(ending)), ...(await Promise.all(issuing)).flat()];
  }

  async function callOff(attempt: IssueAttempt, settled: Promise<void>, reason: string): Promise<Lease[]> {
    attempt.calledOffFor ??= reason;
    attempt.abort.abort();
    await settled;
    const revoked = await revocations.find(attempt.lease.id);
    if (revoked !== undefined) return [revoked];
    const row = await repository.get(tenant, attempt.lease.id);
    return row === undefined ? [] : [row];
  }

  function rememberEnded(id: TaskId): void {
    const now = clock();
    for (const [ended, until] of endedTasks) {
      if (until > now) break;
      endedTasks.delete(ended);
    }
    endedTasks.set(id, now + LONGEST_TASK_MS);
  }

  return {
    acquire,
    async revokeTask(id, reason) {
      rememberEnded(id);
      const leases = tasks.get(id);
      const ours = leases === undefined ? [] : await endTask(leases, reason);
      const known = new Set(ours.map((lease) => lease.id));
      const rows = await repository.list(tenant, { task: id, states: ['intended', 'active', 'revoking'] });
      const others = rows.filter((lease) => !known.has(lease.id));
      const facts = (lease: Lease) => ({ isIssued: lease.state === 'active', task: leases?.task });
      return [...ours, ...(await Promise.all(others.map((lease) => revocations.start(lease, reason, facts(lease)))))];
    },
    async revoke(id, reason) {
      for (const leases of tasks.values()) {
        const held = [...leases.held].find((one) => one.control.lease.id === id);
        if (held !== undefined) return end(leases, held, reason);
        const pending = [...leases.slots.values()].find((slot) => slot.pending?.attempt.lease.id === id)?.pending;
        const [revoked] = pending === undefined ? [] : await callOff(pending.attempt, pending.settled, reason);
        if (revoked !== undefined) return revoked;
      }
      const lease = await repository.get(tenant, id);
      if (lease === undefined) {
        throw new RemitError('ERR_NOT_FOUND', `there is no lease ${id}`, { where: id, hint: 'See `remit lease ls`.' });
      }
      if (lease.state === 'ended' || lease.state === 'lapsing') return lease;
      return revocations.start(lease, reason, { isIssued: lease.state === 'active' });
    },
    async revokeAll(reason) {
      return (await Promise.all([...tasks.values()].map((leases) => endTask(leases, reason)))).flat();
    },
    recover() {
      const isOurs = (id: LeaseId) =>
        [...tasks.values()].some(
          ({ held, slots }) =>
            [...held].some((one) => one.control.lease.id === id) ||
            [...slots.values()].some((slot) => slot.pending?.attempt.lease.id === id),
        );
      return recoverLeases(context, revocations, lapses, isOurs);
    },
    counts() {
      const all = [...tasks.values()];
      const held = all.reduce((sum, leases) => sum + leases.held.size, 0);
      const slots = all.flatMap((leases) => [...leases.slots.values()]);
      return { held, issuing: slots.filter((slot) => slot.pending !== undefined).length, revoking: revocations.size };
    },
    close() {
      isClosed = true;
      revocations.stop();
      lapses.stop();
      for (const { held, slots } of tasks.values()) {
        for (const { control, cancelExpiry } of held) {
          cancelExpiry();
          control.end();
        }
        for (const { pending } of slots.values()) pending?.attempt.abort.abort();
      }
    },
  };
}

/** A lease that ends with its task has nothing to be renewed for. */
function renewalTime(lease: Lease, task: Task): number {
  if (lease.expiresAt >= task.expiresAt) return lease.expiresAt;
  return lease.expiresAt - (lease.expiresAt - lease.intendedAt) * RENEWAL_SHARE;
}

function ignore(): void {}
