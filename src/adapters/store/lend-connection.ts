import { setTimeout as delay } from 'node:timers/promises';
import type { Pool, PoolClient } from 'pg';
import { codeOf } from './faults.ts';

/** `too_many_connections` (PostgreSQL's appendix A): of the server, of the database or of the role. */
const NONE_LEFT = '53300';
const RETRY_MS = 20;

/**
 * A connection of the pool's. Where the server has none left for one more, those that the pool has come back in a moment, and one of them is waited for. Here, and not where a
 * busy database is waited for (`make-store.ts`): nothing has been asked on it yet, so nothing is ever asked twice.
 * @param waitMs at most
 * @throws what connecting throws; at once, where the pool has none
 */
export async function lendConnection(pool: Pick<Pool, 'connect' | 'totalCount'>, waitMs: number): Promise<PoolClient> {
  const until = performance.now() + waitMs;
  for (;;) {
    try {
      return await pool.connect();
    } catch (error) {
      if (codeOf(error) !== NONE_LEFT || pool.totalCount === 0 || performance.now() >= until) throw error;
    }
    await delay(RETRY_MS);
  }
}
