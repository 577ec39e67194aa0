import { Client } from 'pg';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { lendConnection } from '../../src/adapters/store/lend-connection.ts';
import { openPostgres } from '../../src/adapters/store/open-postgres.ts';
import { type EmbeddedPostgres, startPostgres } from '../support/embedded-postgres.ts';
import { ACME } from './samples.ts';

/** A server that has fewer connections left than the store may have. */
let server: EmbeddedPostgres;
beforeAll(async () => {
  server = await startPostgres({ fsync: false });
});
afterAll(() => server.stop());

async function sql(text: string): Promise<void> {
  const client = new Client({ connectionString: server.url('postgres') });
  await client.connect();
  await client.query(text).finally(() => client.end());
}

it('statements wait for the connections that the store has, where the server gives no more', async () => {
  await sql("create role gateway login password 'gateway'");
  await sql('create database remit owner gateway');
  const url = new URL(server.url('remit'));
  [url.username, url.password] = ['gateway', 'gateway'];
  const store = await openPostgres({ url: url.href, connections: 10 });
  try {
    await sql('alter role gateway connection limit 2');
    const all = Array.from({ length: 40 }, (_, index) =>
      index % 2 === 0 ? store.signingKeys.list() : store.transaction(async ({ signingKeys }) => signingKeys.list()),
    );
    expect(await Promise.all(all)).toEqual(Array(40).fill([]));
    expect(await store.shared?.nodes.list(ACME)).toEqual([]);
  } finally {
    await store.close();
  }
});

it('where the store has none itself, or nobody gives one back, it is told', async () => {
  const none = Object.assign(new Error('too many clients'), { code: '53300' });
  let asked = 0;
  const pool = (totalCount: number) => ({
    totalCount,
    connect: (() => {
      asked += 1;
      return Promise.reject(none);
    }) as never,
  });
  await expect(lendConnection(pool(0), 1_000)).rejects.toBe(none);
  expect(asked).toBe(1);
  await expect(lendConnection(pool(2), 50)).rejects.toBe(none);
  expect(asked).toBeGreaterThan(2);
});
