import { sql } from 'kysely';
import type { Queries } from './schema.ts';

/**
 * Waits until no other transaction of the database has the lock of that name, and has it until its own ends (PostgreSQL). Names of which two have the same
 * digest wait for each other, and nothing else comes of it.
 */
export async function lockFor(transaction: Queries, ...name: readonly string[]): Promise<void> {
  await sql`select pg_advisory_xact_lock(hashtextextended(${JSON.stringify(name)}, 0))`.execute(transaction);
}
