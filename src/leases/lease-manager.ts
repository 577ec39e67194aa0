import { RemitError } from '../domain/errors.ts';
import type { AgentId, ConnectorId, LeaseId, TaskId } from '../domain/ids.ts';
import { isFailing, type Lease } from '../domain/lease.ts';
import type { Task } from '../domain/task.ts';
import type { LeaseFilter } from '../seams/store.ts';
import { createEndedTasks } from './ended-tasks.ts';
import { createHeldLease, type HeldLease, mayFinish } from './held-lease.ts';
import { calledOff, draftLease, type IssueAttempt, issueLease, pastDeadline } from './issue-lease.ts';
import { type IssuerBinding, LEASE_LIMITS, type LeaseLimits, type RevokeContext } from './lease-context.ts';
import { type RecoveryReport, recoverLeases } from './recover-leases.ts';
import { createRevocations } from './revocations.ts';
import { faultText, wasIssued } from './revoke-lease.ts';
import { createSweep } from './sweep.ts';
import {
  findOurs,
  findWhere,
  forgetIfEmpty,
  type Held,
  type LeasedItem,
  type Pending,
  type Slot,
  slotKey,
  type TaskLeases,
  type TaskMap,
} from './task-leases.ts';

export interface LeaseManagerOptions extends Omit<RevokeContext, 'limits'> {
  readonly limits?: Partial<LeaseLimits>;
  /**
   * Called when a lease must not be used any more: close the upstream connections opened with it. Where `mayFinish(reason)`, the
   * lease stays good until the returned promise has resolved and its users are done, at most until it expires; for any
   * other reason it is revoked at once.
   */
  readonly onRetired?: (lease: Lease, reason: string) => void | Promise<void>;
}

export interface LeaseManager {
  /**
   * The live credential for this task at this connector, or for this item of it, or for one call, as the connector's mode says: from memory
   * without a promise where there is one, else issued, once for all who ask meanwhile. Undefined when the connector needs none.
   * Whoever gets one of mode `call` calls its `endCall` when the call is over.
   * @param item what it is for; without one a narrower mode than `task` gives a credential that opens nothing
   * @throws `ERR_CREDENTIAL_ISSUE`, `ERR_STATIC_WITHOUT_EXCEPTION`, `ERR_TASK_REFUSED` (not active), `ERR_STORE_*`,
   * whatever `audit` throws: the call is refused
   */
  acquire(task: Task, connector: ConnectorId, item?: LeasedItem): HeldLease | Promise<HeldLease> | undefined;
  /**
   * Ends every lease of a task for good; an issue under way ends revoked. Resolves with the leases as they stand after
   * the first attempt: one that is still `revoking` is tried on and must not be called revoked (L7).
   * @throws `ERR_STORE_*` when the task's rows cannot be read: what is known in memory is revoked all the same
   */
  revokeTask(task: TaskId, reason: string): Promise<Lease[]>;
  /** The same for a task that is paused: it gets new leases when it goes on (fault 47). Refusing it meanwhile is the caller's. */
  suspendTask(task: TaskId, reason: string): Promise<Lease[]>;
  /** The same for what is held here of a task that another node goes on with: what that node issued for it stays. */
  dropTask(task: TaskId, reason: string): Promise<Lease[]>;
  /** The same for everything at a connector. Refusing it meanwhile is the caller's. */
  revokeConnector(connector: ConnectorId, reason: string): Promise<Lease[]>;
  /** The same for what is held here of a connector: what other nodes hold is theirs to end. Out of memory before this returns. */
  dropConnector(connector: ConnectorId, reason: string): Promise<Lease[]>;
  /** The same for everything of an agent, whatever its tasks. Refusing it meanwhile is the caller's. */
  revokeAgent(agent: AgentId, reason: string): Promise<Lease[]>;
  /** Ends one lease; its task may get a new one. @throws `ERR_NOT_FOUND` */
  revoke(lease: LeaseId, reason: string): Promise<Lease>;
  /**
   * Tries at once what could not be revoked before and is this process's to revoke. @returns those and what is another's, as they stand after that
   * @throws `ERR_STORE_*` when the rows cannot be read: what is known in memory is tried all the same
   */
  retry(of: Pick<LeaseFilter, 'task' | 'agent'>): Promise<Lease[]>;
  /** Ends everything held here, for a graceful stop. */
  revokeAll(reason: string): Promise<Lease[]>;
  /** Call once, before the first `acquire`. */
  recover(): Promise<RecoveryReport>;
  /** Another node is lost: what it held is revoked from here. @throws `ERR_STORE_*` */
  takeOver(node: string): Promise<void>;
  /** Leases in use here and revocations not confirmed yet. */
  counts(): { held: number; issuing: number; revoking: number };
  /** Calls made with each lease that is held here, retired ones included. */
  calls(): ReadonlyMap<LeaseId, number>;
  /** Stops timers and retries; nothing is acquired afterwards. Rows that are left are recovered at the next start. */
  close(): void;
}

/** Renewal starts with this share of a lease's life left. */
const RENEWAL_SHARE = 0.1;
const RENEWAL_RETRY_MS = 5_000;

export function createLeaseManager(options: LeaseManagerOptions): LeaseManager {
  const context: RevokeContext = { ...options, limits: { ...LEASE_LIMITS, ...options.limits } };
  const { tenant, repository, issuerOf, clock, schedule, log } = context;
  const tasks: TaskMap = new Map();
  const endedTasks = createEndedTasks(clock);
  const sweep = createSweep(context, 'gateway_restarted');
  const revocations = createRevocations(context, (lease) => {
    if (lease.state !== 'ended') sweep.expect(lease.claimedUntil);
  });
  let isClosed = false;

  function acquire(task: Task, connector: ConnectorId, item?: LeasedItem): HeldLease | Promise<HeldLease> | undefined {
    const slots = tasks.get(task.id)?.slots;
    const slot = slots?.get(connector);
    if (slot?.held !== undefined && clock() < slot.renewAt && slot.held.control.lease.mode === 'task') {
      return slot.held.control;
    }
    const binding = issuerOf(connector);
    if (binding === undefined) return undefined;
    if (binding.mode === 'task_tool') {
      const own = slots?.get(item?.ref ?? connector);
      if (own?.held !== undefined && clock() < own.renewAt) return own.held.control;
    }
    return acquireNew(task, connector, item, binding);
  }

  async function acquireNew(
    task: Task,
    connector: ConnectorId,
    item: LeasedItem | undefined,
    binding: IssuerBinding,
  ): Promise<HeldLease> {
    assertServable(task);
    const draft = draftLease(context, task, connector, item?.ref, binding);
    const key = slotKey(binding, connector, item, draft.id);
    const leases = tasks.get(task.id) ?? { task, held: new Set(), slots: new Map() };
    const slot: Slot = leases.slots.get(key) ?? { key, held: undefined, renewAt: 0, pending: undefined };
    if (slot.pending === undefined) {
      const attempt: IssueAttempt = { lease: draft, item, abort: new AbortController(), calledOffFor: undefined };
      tasks.set(task.id, leases);
      leases.slots.set(key, slot);
      const done = issueInto(leases, slot, binding, attempt).finally(() => {
        slot.pending = undefined;
        forgetIfEmpty(tasks, leases);
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
      const control = createHeldLease(lease, injection, () => retire(leases, held, 'call_over'));
      const held: Held = { control, handle, key: slot.key, cancelExpiry: ignore };
      leases.held.add(held);
      if (attempt.calledOffFor !== undefined) {
        void end(leases, held, attempt.calledOffFor);
        throw calledOff(task);
      }
      if (clock() >= lease.expiresAt) {
        // This process was stopped for longer than the lease lives.
        void end(leases, held, 'expired');
        throw pastDeadline(lease);
      }
      held.cancelExpiry = schedule(Math.max(0, lease.expiresAt - clock()), () => void end(leases, held, 'expired'));
      const previous = slot.held;
      slot.held = held;
      slot.renewAt = renewalTime(lease, task);
      if (previous !== undefined) retire(leases, previous, 'renewed');
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

  /** No new users, revoked when the last one is done. Its expiry timer is still armed. */
  function retire(leases: TaskLeases, held: Held, reason: 'renewed' | 'call_over'): void {
    if (!held.control.isLive) return;
    void notifyRetired(held.control.lease, reason).then(() =>
      held.control.whenIdle(() => void end(leases, held, reason)),
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
    const { lease, calls: uses } = held.control;
    if (held.control.end()) {
      held.cancelExpiry();
      leases.held.delete(held);
      const slot = leases.slots.get(held.key);
      if (slot?.held === held) slot.held = undefined;
      forgetIfEmpty(tasks, leases);
      if (!mayFinish(reason)) void notifyRetired(lease, reason);
    }
    return revocations.start(lease, reason, { isIssued: true, task: leases.task, handle: held.handle, uses });
  }

  async function callOff({ attempt, settled }: Pending, reason: string): Promise<Lease[]> {
    attempt.calledOffFor ??= reason;
    attempt.abort.abort();
    await settled;
    const revoked = await revocations.find(attempt.lease.id);
    if (revoked !== undefined) return [revoked];
    const row = await repository.get(tenant, attempt.lease.id);
    return row === undefined ? [] : [row];
  }

  /** Calls off what is being issued and ends what is held, of all that matches now. */
  async function endHere(matches: (lease: Lease) => boolean, reason: string): Promise<Lease[]> {
    const ending: Promise<Lease | Lease[]>[] = [];
    for (const { leases, held, pending } of findWhere(tasks, matches)) {
      for (const one of held) ending.push(end(leases, one, reason));
      for (const one of pending) ending.push(callOff(one, reason));
    }
    return (await Promise.all(ending)).flat();
  }

  /** The same, and what other processes left of it: rows that nobody here knows of. */
  async function endEverywhere(
    matches: (lease: Lease) => boolean,
    filter: LeaseFilter,
    reason: string,
  ): Promise<Lease[]> {
    const since = clock();
    const task = filter.task === undefined ? undefined : tasks.get(filter.task)?.task;
    const ours = await endHere(matches, reason);
    const known = new Set(ours.map((lease) => lease.id));
    const rows = await repository.list(tenant, { ...filter, states: ['intended', 'active', 'revoking'] });
    // What was acquired meanwhile, by a task that goes on, is none of it.
    const others = rows.filter(
      ({ id, intendedAt }) => !known.has(id) && intendedAt <= since && findOurs(tasks, id) === undefined,
    );
    const revoked = others.map((lease) =>
      revocations.start(lease, reason, { isIssued: wasIssued(lease), isTaking: true, task }),
    );
    return [...ours, ...(await Promise.all(revoked))];
  }

  async function retry(of: Pick<LeaseFilter, 'task' | 'agent'>): Promise<Lease[]> {
    const known = revocations.retry(({ task, agent }) => task === (of.task ?? task) && agent === (of.agent ?? agent));
    const rows = await repository.list(tenant, { ...of, states: ['revoking'] });
    const failing = rows.filter(isFailing);
    // What the sweep of this process has come to once, and rests with.
    const swept = failing.filter(({ id, claimedBy }) => claimedBy === context.claimant && !revocations.has(id));
    const started = swept.map((lease) =>
      revocations.start(lease, lease.endReason ?? 'revoked', { isIssued: wasIssued(lease) }),
    );
    const tried = [...(await known), ...(await Promise.all(started))];
    return [...failing.filter(({ id }) => !tried.some((lease) => lease.id === id)), ...tried];
  }

  return {
    acquire,
    revokeTask(id, reason) {
      endedTasks.add(id);
      return endEverywhere(({ task }) => task === id, { task: id }, reason);
    },
    suspendTask: (id, reason) => endEverywhere(({ task }) => task === id, { task: id }, reason),
    dropTask: (id, reason) => endHere(({ task }) => task === id, reason),
    revokeConnector: (id, reason) => endEverywhere(({ connector }) => connector === id, { connector: id }, reason),
    dropConnector: (id, reason) => endHere(({ connector }) => connector === id, reason),
    revokeAgent: (id, reason) => endEverywhere(({ agent }) => agent === id, { agent: id }, reason),
    async revoke(id, reason) {
      const ours = findOurs(tasks, id);
      if (ours?.held !== undefined) return end(ours.leases, ours.held, reason);
      const [revoked] = ours?.pending === undefined ? [] : await callOff(ours.pending, reason);
      if (revoked !== undefined) return revoked;
      const lease = await repository.get(tenant, id);
      if (lease === undefined) {
        throw new RemitError('ERR_NOT_FOUND', `there is no lease ${id}`, { where: id, hint: 'See `remit lease ls`.' });
      }
      if (lease.state === 'ended' || lease.state === 'lapsing') return lease;
      return revocations.start(lease, reason, { isIssued: wasIssued(lease), isTaking: true });
    },
    retry,
    revokeAll: (reason) => endHere(() => true, reason),
    recover: () => recoverLeases(context, sweep),
    async takeOver(node) {
      const found = await context.claims.releaseOthers(tenant, context.claimant, clock(), 'gateway_lost', node);
      if (found > 0) sweep.begin();
    },
    counts() {
      const all = [...tasks.values()];
      const held = all.reduce((sum, leases) => sum + leases.held.size, 0);
      const slots = all.flatMap((leases) => [...leases.slots.values()]);
      return { held, issuing: slots.filter((slot) => slot.pending !== undefined).length, revoking: revocations.size };
    },
    calls: () =>
      new Map(
        [...tasks.values()].flatMap(({ held }) => [...held].map(({ control }) => [control.lease.id, control.calls])),
      ),
    close() {
      isClosed = true;
      revocations.stop();
      sweep.stop();
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
