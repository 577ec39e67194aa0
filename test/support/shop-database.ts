import { Client } from 'pg';
import type { EmbeddedPostgres } from './embedded-postgres.ts';

/** Runs statements as the superuser, or as whoever is named; gives the rows of the last one. */
export async function runSql(
  server: EmbeddedPostgres,
  sql: string,
  as: { database?: string; user?: string; password?: string } = {},
): Promise<Record<string, unknown>[]> {
  const { database = 'shop', user = server.superuser, password = server.password } = as;
  const client = new Client({ host: server.host, port: server.port, database, user, password });
  client.on('error', () => {});
  try {
    await client.connect();
    const result = (await client.query(sql)) as unknown as
      | { rows: Record<string, unknown>[] }
      | { rows: Record<string, unknown>[] }[];
    return (Array.isArray(result) ? result.at(-1)?.rows : result.rows) ?? [];
  } finally {
    await client.end().catch(() => {});
  }
}

/** A small shop: two tables, a view, a second schema that nobody may use, names that need quoting. */
export async function createShop(server: EmbeddedPostgres): Promise<void> {
  await runSql(server, 'CREATE DATABASE shop', { database: 'postgres' });
  await runSql(
    server,
    `CREATE TABLE orders (id serial PRIMARY KEY, customer int NOT NULL, total numeric NOT NULL DEFAULT 0);
     CREATE TABLE customers (id int PRIMARY KEY, name text, card text);
     CREATE VIEW totals AS SELECT sum(total) AS total FROM orders;
     CREATE SCHEMA back_office;
     CREATE TABLE back_office.salaries (id int PRIMARY KEY, amount numeric);
     CREATE SCHEMA "Odd ""Schema""";
     CREATE TABLE "Odd ""Schema"""."a; DROP TABLE public.orders" ("Col; x" int);
     INSERT INTO orders (customer, total) VALUES (1, 10), (2, 20);
     INSERT INTO customers VALUES (1, 'Ada', '4111'), (2, 'Bo', '4222');
     INSERT INTO back_office.salaries VALUES (1, 1000);`,
  );
}
