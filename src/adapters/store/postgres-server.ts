import { sql } from 'kysely';
import type { StoreServer } from '../../seams/shared-store.ts';
import { DATABASE_NOW } from './database-clock.ts';
import type { Queries } from './schema.ts';

interface Row {
  readonly most: number;
  readonly reserved: number;
  readonly of_database: number;
  readonly of_role: number;
}

/** `reserved_connections` is there from PostgreSQL 16 on. Limits of a database and of a role are -1 where there are none. */
export function makeStoreServer(queries: Queries): StoreServer {
  return {
    async connectionLimits() {
      const { rows } = await sql<Row>`
        select current_setting('max_connections')::int as most,
          current_setting('superuser_reserved_connections')::int
            + coalesce(nullif(current_setting('reserved_connections', true), '')::int, 0) as reserved,
          (select datconnlimit from pg_database where datname = current_database()) as of_database,
          (select rolconnlimit from pg_roles where rolname = current_user) as of_role`.execute(queries);
      const { most, reserved, of_database, of_role } = rows[0] as Row;
      const narrower = [of_database, of_role].filter((limit) => limit >= 0);
      return { most, reserved, ofRole: narrower.length === 0 ? undefined : Math.min(...narrower) };
    },
    async now() {
      const { rows } = await sql<{ now: number }>`select ${DATABASE_NOW} as now`.execute(queries);
      return (rows[0] as { now: number }).now;
    },
  };
}
