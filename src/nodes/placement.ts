import { messageOf } from '../domain/errors.ts';
import type { TaskId, TenantId } from '../domain/ids.ts';
import type { OwnedTask } from '../domain/node.ts';
import type { Clock, Log, Schedule } from '../seams/clock.ts';
import type { NodeRepository, TaskPlaceRepository } from '../seams/shared-store.ts';
import { ADOPTED_AT_ONCE, CARE_MS, MOST_PLACES, PLACE_MS } from './bounds.ts';

/** Where a task is served: on this node, nowhere (it has ended, or never was), or at the node with this address; an empty one: nobody goes on with it yet. */
export type Located = 'here' | 'nowhere' | { readonly address: string };

const NOBODY_YET: Located = { address: '' };

export interface PlacementParts {
  readonly tenant: TenantId;
  readonly owner: string;
  readonly nodes: Pick<NodeRepository, 'bury'>;
  readonly places: Pick<TaskPlaceRepository, 'find' | 'claim'>;
  readonly monotonic: Clock;
  readonly schedule: Schedule;
  readonly log: Log;
  /** Whether this node may own anything now. */
  readonly isMember: () => boolean;
  /** Whether this node goes on with it. */
  readonly isServed: (task: TaskId) => boolean;
  /** Goes on with tasks that have become this node's: when it resolves they are served. */
  readonly adopt: (owned: readonly OwnedTask[]) => Promise<void>;
  /** A node was buried, and this one is to see to what it left. */
  readonly onBuried: (node: string) => Promise<void>;
}

/** Who serves which task, and who goes on with those of a node that is lost. */
export interface Placement {
  /** @throws `ERR_STORE_*` */
  locate(task: TaskId): Promise<Located>;
  /** The node that was said to serve it does not, or cannot be reached: it is looked for anew. */
  misplaced(task: TaskId): void;
  /** This node was taken to be lost: nothing that it knew of places holds. */
  lose(): void;
  /** Looks for what lost nodes left, now and every so often. */
  begin(): void;
  close(): void;
}

export function createPlacement(parts: PlacementParts): Placement {
  const { tenant, owner, nodes, places, monotonic, schedule, log } = parts;
  const known = new Map<TaskId, { readonly address: string; readonly until: number }>();
  /** What is being taken over here. */
  const adopting = new Set<Promise<unknown>>();
  /** Taken over, and not gone on with yet: that failed, and is tried again. */
  let left: readonly OwnedTask[] = [];
  /** Buried here, and what they left not seen to yet: each is given to one node, once. */
  const buried = new Set<string>();
  let cancel = (): void => {};
  let isClosed = false;

  async function bury(): Promise<void> {
    for (const name of await nodes.bury(tenant)) {
      log.warn({ node: name }, 'a node is lost: what it left is seen to');
      buried.add(name);
    }
    for (const name of buried) {
      await parts.onBuried(name);
      buried.delete(name);
    }
  }

  async function claim(which: Exclude<Parameters<typeof places.claim>[2], 'earlier'>): Promise<number> {
    if (isClosed || !parts.isMember()) return 0;
    const claimed = await places.claim(tenant, owner, which);
    // Read now: another claim may have left something meanwhile.
    const owned = [...left, ...claimed];
    left = [];
    if (owned.length === 0) return 0;
    try {
      await parts.adopt(owned);
    } catch (error) {
      left = [...left, ...owned];
      throw error;
    }
    for (const { task } of owned) known.delete(task);
    log.info({ tasks: owned.length }, 'tasks that nobody owned are this node’s');
    return owned.length;
  }

  function claimHere(which: Parameters<typeof claim>[0]): Promise<number> {
    const claiming = claim(which).finally(() => adopting.delete(claiming));
    adopting.add(claiming);
    return claiming;
  }

  async function look(task: TaskId): Promise<Located> {
    let place = await places.find(tenant, task);
    if (place === undefined) return 'nowhere';
    if (place.address === undefined) {
      await claimHere({ family: place.family });
      place = await places.find(tenant, task);
    }
    if (place === undefined) return 'nowhere';
    if (place.owner === owner) {
      await Promise.allSettled(adopting);
      // Its own by the store's word, and not gone on with: one that was let go of when its fence had changed, say. Nobody else would ever take it.
      if (!parts.isServed(task)) await claimHere({ mine: place.family });
      if (parts.isServed(task)) return 'here';
      // What was found to be over when it was gone on with has ended in the store by now.
      return (await places.find(tenant, task)) === undefined ? 'nowhere' : NOBODY_YET;
    }
    // It has not ended: whoever is told that it has gives it up.
    if (place.address === undefined) return NOBODY_YET;
    if (known.size >= MOST_PLACES) known.clear();
    known.set(task, { address: place.address, until: monotonic() + PLACE_MS });
    return { address: place.address };
  }

  async function care(): Promise<void> {
    await bury();
    // Where that was all of them, there is nothing more.
    while ((await claimHere({ orphans: ADOPTED_AT_ONCE })) > 0);
  }

  function tick(): void {
    care()
      .catch((error: unknown) => log.warn({ error: messageOf(error) }, 'what lost nodes left could not be seen to yet'))
      .finally(() => {
        if (!isClosed) cancel = schedule(CARE_MS, tick);
      });
  }

  return {
    async locate(task) {
      const found = known.get(task);
      if (found !== undefined && monotonic() < found.until) return found;
      return await look(task);
    },
    misplaced: (task) => void known.delete(task),
    lose() {
      left = [];
      known.clear();
    },
    begin: tick,
    close() {
      isClosed = true;
      cancel();
    },
  };
}
