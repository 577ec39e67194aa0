import { messageOf } from '../domain/errors.ts';
import type { GatewayNode } from '../domain/node.ts';
import type { Clock, Log, Schedule } from '../seams/clock.ts';
import type { Connected, NodeRepository, StoreServer } from '../seams/shared-store.ts';
import { BEAT_MS, MEMBER_MS, TTL_MS } from './bounds.ts';
import { clockDifference, clockFault } from './clock-difference.ts';

export interface MembershipParts {
  readonly repository: Pick<NodeRepository, 'join' | 'renew' | 'leave'>;
  readonly self: Pick<GatewayNode, 'tenant' | 'name' | 'address' | 'version' | 'connections'>;
  /** Of the policies in force; the others see it with the next beat. */
  readonly policyVersion: () => string;
  /** Never set back nor forward: how long ago it was said must not depend on the wall clock. */
  readonly monotonic: Clock;
  /** The wall clock, by which tasks, tokens and leases end here; and the one that it must agree with. */
  readonly clock: Clock;
  readonly server: Pick<StoreServer, 'now'>;
  readonly schedule: Schedule;
  readonly log: Log;
  /** Others have taken this node to be lost, and may own its tasks: nothing of them may stay. */
  readonly onLost: () => Promise<void>;
  /** It is a member again, and goes on with what nobody has taken over meanwhile. Tried again with each beat until it succeeds. */
  readonly onRejoined: () => Promise<void>;
  /** This host's clock is not the store's, with what is wrong, or is again: undefined. Called once a change. */
  readonly onClock: (fault: string | undefined) => void;
  /** Another process has this node's name: this one can serve no more. */
  readonly onReplaced: (why: string) => void;
}

/** This node among the others. */
export interface Membership {
  /** @param admit told of all others: where it throws, this one does not join @throws `ERR_STORE_*` */
  join(admit?: (others: readonly Connected[]) => void): Promise<void>;
  /** Whether the node may act as the owner of its tasks. One comparison. */
  isMember(): boolean;
  /** What is wrong with this host's clock, where that is why the node may not act. */
  clockFault(): string | undefined;
  /** Says now that it is there, where it was not said for too long, perhaps only because the process was not let run. */
  confirm(): Promise<boolean>;
  /** Says now what has changed of it. Never throws: at the latest the next beat says it. */
  announce(): Promise<void>;
  /** Leaves: its tasks are anybody's at once. */
  close(): Promise<void>;
}

/**
 * Says again and again that this node is there. What it may not have been heard of in time, it does not act on. Each time the store says what time
 * it is: a node whose clock is away from that does not act either, and says no more that it is there until they agree, so that others go on with its
 * tasks when its time is over.
 */
export function createMembership(parts: MembershipParts): Membership {
  const { repository, self, policyVersion, monotonic, clock, server, schedule, log } = parts;
  let life = 0;
  let validUntil = Number.NEGATIVE_INFINITY;
  /** Nobody else owns its tasks before. */
  let ownsUntil = Number.NEGATIVE_INFINITY;
  let fault: string | undefined;
  let beating: Promise<void> | undefined;
  let cancel = (): void => {};
  let isClosed = false;
  let isBehind = false;

  async function join(admit?: (others: readonly Connected[]) => void): Promise<void> {
    const begun = monotonic();
    life = await repository.join({ ...self, policyVersion: policyVersion() }, TTL_MS, admit);
    ownsUntil = begun + TTL_MS;
    if (await agrees()) validUntil = begun + MEMBER_MS;
  }

  /** Whether the clock here is that of the store. */
  async function agrees(): Promise<boolean> {
    const before = clock();
    return compare(before, await server.now());
  }

  /** @param before when the store was asked @param there what its clock said */
  function compare(before: number, there: number): boolean {
    const now = clockFault(clockDifference(before, there, clock()));
    const hasChanged = (now === undefined) !== (fault === undefined);
    fault = now;
    if (fault !== undefined) validUntil = Number.NEGATIVE_INFINITY;
    if (hasChanged) parts.onClock(fault);
    return fault === undefined;
  }

  async function beat(): Promise<void> {
    if (fault !== undefined && !(await agrees())) return await letGo();
    const begun = monotonic();
    const before = clock();
    const told = await repository.renew({ ...self, life, policyVersion: policyVersion() }, TTL_MS);
    if (isClosed) return;
    if (typeof told === 'number') {
      ownsUntil = begun + TTL_MS;
      if (!compare(before, told)) return;
      validUntil = begun + MEMBER_MS;
      return await catchUp();
    }
    validUntil = Number.NEGATIVE_INFINITY;
    if (told === 'replaced') {
      isClosed = true;
      return parts.onReplaced(
        `another process is node ${self.name}, or the store was put back from a copy: was its data folder copied?`,
      );
    }
    log.warn({ node: self.name }, 'this node was taken to be lost: its tasks are others’ now, and it joins anew');
    await parts.onLost();
    isBehind = true;
    await join();
    if (fault === undefined) await catchUp();
  }

  /** It was not said for so long that it is there that its tasks may be others'. */
  async function letGo(): Promise<void> {
    if (isBehind || isClosed || monotonic() < ownsUntil) return;
    await parts.onLost();
    isBehind = true;
  }

  async function catchUp(): Promise<void> {
    if (!isBehind) return;
    await parts.onRejoined();
    isBehind = false;
  }

  function begin(): Promise<void> {
    beating ??= beat()
      .catch((error: unknown) => log.warn({ error: messageOf(error) }, 'the other nodes could not be told of this one'))
      .finally(() => {
        beating = undefined;
      });
    return beating;
  }

  function tick(): void {
    if (isClosed) return;
    cancel = schedule(BEAT_MS, tick);
    void begin();
  }

  return {
    async join(admit) {
      await join(admit);
      cancel = schedule(BEAT_MS, tick);
    },
    isMember: () => monotonic() < validUntil,
    clockFault: () => fault,
    async confirm() {
      if (monotonic() < validUntil || isClosed) return !isClosed;
      await begin();
      return monotonic() < validUntil;
    },
    async announce() {
      await beating;
      if (!isClosed) await begin();
    },
    async close() {
      if (isClosed) return;
      isClosed = true;
      cancel();
      await beating;
      validUntil = Number.NEGATIVE_INFINITY;
      await repository.leave({ ...self, life });
    },
  };
}
