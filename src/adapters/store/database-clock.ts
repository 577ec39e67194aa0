import { sql } from 'kysely';

/** PostgreSQL's clock, milliseconds since the epoch: the one clock that all nodes share. It moves on inside of a transaction. */
export const DATABASE_NOW = sql<number>`(extract(epoch from clock_timestamp()) * 1000)::bigint`;
