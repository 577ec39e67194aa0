import type { RecordEntry } from '../../audit/recorder.ts';
import { type Failure, messageOf } from '../../domain/errors.ts';
import type { TaskId } from '../../domain/ids.ts';
import type { OwnedTask, TaskMemory } from '../../domain/node.ts';
import type { LeaseManager } from '../../leases/lease-manager.ts';
import { PLACE_MS } from '../../nodes/bounds.ts';
import { createMembership } from '../../nodes/membership.ts';
import { createPlacement, type Placement } from '../../nodes/placement.ts';
import { createTaskLedger, type TaskLedger } from '../../nodes/task-ledger.ts';
import type { Connected, Notice, SharedStore } from '../../seams/shared-store.ts';
import type { TaskRegistry } from '../../tasks/task-registry.ts';
import type { Workspace } from '../workspace.ts';
import { connectionsOf } from './connections.ts';
import { throughLocks } from './through-locks.ts';

/** This gateway among the others of its store. */
export interface Nodes {
  readonly name: string;
  readonly shared: SharedStore;
  readonly ledger: TaskLedger;
  readonly placement: Placement;
  /** Whether this node may act as the owner of its tasks. One comparison. */
  isMember(): boolean;
  /** What is wrong with this host's clock, where that is why it may not. */
  clockFault(): string | undefined;
  confirm(): Promise<boolean>;
  /** Of a task that is about to be started here: a place before it has a row. The ledger takes it when it is on the trail. @throws `ERR_STORE_*` */
  own(task: TaskId, parent: TaskId | undefined): Promise<void>;
  /** What a task leaves behind has changed, and no call waits for it: it is kept in the background. */
  keepLater(task: TaskId): void;
  /** Of the family of a task: those that are another node's by now, or nobody's. Which the family is, is asked before it returns. @throws `ERR_STORE_*` */
  moved(task: TaskId): Promise<readonly TaskId[]>;
  /** Resolves, with why, when this node can serve no more. */
  readonly failed: Promise<Failure>;
  /** Joins, and takes what was its own in an earlier life. @param admit throws where it may not @throws `ERR_STORE_*` */
  join(admit?: (others: readonly Connected[]) => void): Promise<readonly OwnedTask[]>;
  /** From now on the others reach it there, and it goes on with what lost nodes left. */
  serve(address: string): void;
  /**
   * Nothing more is taken over, and the others are told to bring nothing more: resolves when all of them have heard. What comes in between
   * is to be sent back.
   */
  retire(): Promise<void>;
  /** Leaves, once nothing is served any more: its tasks are anybody's. */
  leave(): Promise<void>;
}

/** Undefined where the store is one gateway's alone. */
export function buildNodes(parts: {
  workspace: Workspace;
  version: string;
  tasks: TaskRegistry;
  leases: () => LeaseManager;
  policyVersion: () => string;
  memoryOf: (task: TaskId) => TaskMemory;
  adopt: (owned: readonly OwnedTask[]) => Promise<void>;
  /** Nothing of a task may stay: another node goes on with it. */
  drop: (task: TaskId) => Promise<unknown>;
  onNotice: (notice: Notice) => void;
  recordLater: (entry: RecordEntry) => void;
}): Nodes | undefined {
  const { workspace, version, tasks, leases, memoryOf } = parts;
  const { store, node: name, estate, system } = workspace;
  const { shared } = store;
  if (shared === undefined || name === undefined) return undefined;
  const { tenant } = estate;
  const { clock, monotonic, schedule, log } = system;
  const { nodes, places, notices } = shared;
  let address = '';
  let listening: { stop(): Promise<void> } | undefined;
  let fail: (failure: Failure) => void = () => {};
  const failed = new Promise<Failure>((resolve) => {
    fail = resolve;
  });

  const ledger = createTaskLedger({
    tenant,
    owner: name,
    repository: places,
    memoryOf,
    chainOf: tasks.chainOf,
    callsLeft: tasks.callsLeft,
    nextTurn: (resume) => void setImmediate(resume),
    monotonic,
    schedule,
  });
  tasks.onEnd(async ({ id }) => {
    ledger.remove(id);
    await places.forget(tenant, [id]);
  });

  const membership = createMembership({
    repository: nodes,
    self: {
      tenant,
      name,
      version,
      connections: connectionsOf(workspace),
      get address() {
        return address;
      },
    },
    policyVersion: parts.policyVersion,
    monotonic,
    clock,
    server: shared.server,
    schedule,
    log,
    async onLost() {
      placement.lose();
      await Promise.all(ledger.tasks().map((id) => parts.drop(id)));
    },
    onRejoined: async () => parts.adopt(await places.claim(tenant, name, 'earlier')),
    onClock(fault) {
      const detail = fault !== undefined && { reason: fault };
      if (fault !== undefined) log.error({ what: fault }, 'the clock is not the database’s: everything is denied');
      else log.warn({}, 'the clock is the database’s again: calls are served');
      parts.recordLater({ type: fault === undefined ? 'denial_ended' : 'denial_began', detail: { ...detail } });
    },
    onReplaced: (why) => fail({ why, code: 'ERR_ALREADY_RUNNING' }),
  });

  const placement = createPlacement({
    tenant,
    owner: name,
    nodes,
    places,
    monotonic,
    schedule,
    log,
    isMember: membership.isMember,
    isServed: ledger.has,
    adopt: parts.adopt,
    onBuried: (lost) => leases().takeOver(lost),
  });

  return {
    name,
    shared,
    ledger,
    placement,
    isMember: membership.isMember,
    clockFault: membership.clockFault,
    confirm: membership.confirm,
    failed,
    async own(task, parent) {
      await places.own(tenant, name, task, (parent === undefined ? undefined : tasks.chainOf(parent).at(-1)) ?? task);
    },
    keepLater(task) {
      if (!ledger.has(task)) return;
      const keeping = ledger.keep(task);
      if (keeping !== true)
        keeping.catch((error: unknown) =>
          log.warn({ task, error: messageOf(error) }, 'what a task has read is not where other nodes find it yet'),
        );
    },
    async moved(task) {
      const top = tasks.chainOf(task).at(-1);
      const family = ledger.tasks().filter((id) => tasks.chainOf(id).at(-1) === top);
      const found = await Promise.all(family.map(async (id) => ({ id, place: await places.find(tenant, id) })));
      return found.filter(({ place }) => place?.owner !== name).map(({ id }) => id);
    },
    async join(admit) {
      // One that stands still while it joins keeps others from joining, until the server ends its transaction.
      await throughLocks(() => membership.join(admit));
      listening = notices.listen(tenant, parts.onNotice);
      return await places.claim(tenant, name, 'earlier');
    },
    serve(at) {
      address = at;
      placement.begin();
    },
    async retire() {
      placement.close();
      address = '';
      await membership.announce();
      const others = await nodes.list(tenant).catch(() => []);
      if (others.some((one) => one.name !== name))
        await new Promise<void>((resolve) => void schedule(PLACE_MS, resolve));
    },
    async leave() {
      placement.close();
      await listening?.stop();
      await ledger
        .settle()
        .catch((error: unknown) =>
          log.warn({ error: messageOf(error) }, 'calls that were counted ahead and not made could not be given back'),
        );
      await membership.close();
    },
  };
}
