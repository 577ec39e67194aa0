import pg from 'pg';
import { callAdmin } from '../../src/cli/admin-client.ts';
import type { Downstream } from '../downstream.ts';
import type { Cluster } from './cluster.ts';

/** So long after its lease is over, whatever befell its node, a credential may be there: until the node is buried, and its lease's issue cannot be under way. */
const BEYOND_MS = 30_000;
const LOOK_MS = 1_000;

/** Ends all tasks, by whichever node takes the order. */
export async function endEverything({ nodes }: Cluster): Promise<void> {
  for (const { socket } of nodes) {
    await callAdmin(socket, 'revoke', { action: 'revoke', kind: 'all', id: '', reason: 'the load is over' });
  }
}

export interface Watch {
  /** Tags of credentials that were there too long after their lease, and why that is said. */
  readonly alive: Map<string, string>;
  readonly over: Promise<void>;
}

/** Looks again and again for credentials whose lease is over, by the database itself and the rows of the store. */
export function watchCredentials(downstream: Downstream, storeUrl: string, isOver: () => boolean): Watch {
  const alive = new Map<string, string>();
  const suspectSince = new Map<string, number>();
  const look = async (store: pg.Client): Promise<void> => {
    const there = await downstream.alive();
    const { rows } = await store.query<{ tag: string; state: string; expires: string }>(
      'SELECT tag, state, expires_at AS expires FROM leases WHERE tag = ANY($1)',
      [there.map(({ tag }) => tag)],
    );
    const byTag = new Map(rows.map((row) => [row.tag, row]));
    const now = Date.now();
    for (const { tag, sessions, mayLogIn } of there) {
      const row = byTag.get(tag);
      const isHeld = row !== undefined && row.state === 'active' && Number(row.expires) > now;
      if (isHeld) suspectSince.delete(tag);
      else if (!suspectSince.has(tag)) suspectSince.set(tag, now);
      const since = suspectSince.get(tag);
      if (since !== undefined && now - since > BEYOND_MS) {
        alive.set(tag, `${mayLogIn ? 'may log in' : 'barred'}, ${sessions} sessions; its row: ${row?.state ?? 'none'}`);
      }
    }
  };
  const over = (async () => {
    const store = new pg.Client({ connectionString: storeUrl });
    store.on('error', () => {});
    await store.connect();
    try {
      while (!isOver()) {
        await look(store);
        await pause(LOOK_MS);
      }
    } finally {
      await store.end();
    }
  })();
  over.catch(() => {});
  return { alive, over };
}

/** All tasks have ended: no credential of any may be left. */
export async function awaitNobody(downstream: Downstream, alive: Map<string, string>): Promise<void> {
  const until = performance.now() + BEYOND_MS;
  for (;;) {
    const there = await downstream.alive();
    if (there.length === 0) return;
    if (performance.now() > until) {
      for (const { tag, sessions } of there) alive.set(tag, `${sessions} sessions; all tasks have ended`);
      return;
    }
    await pause(200);
  }
}

const pause = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));
