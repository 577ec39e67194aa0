import { Client } from 'pg';
import { afterAll, beforeAll, beforeEach } from 'vitest';
import { openPostgres } from '../../src/adapters/store/open-postgres.ts';
import type { Store } from '../../src/seams/store.ts';
import { type EmbeddedPostgres, startPostgres } from './embedded-postgres.ts';

/** Two stores on one real PostgreSQL, as two gateways have them, with connections of their own; in a new database for each test of the file. */
export interface StoresOfOnePostgres {
  readonly stores: readonly Store[];
  /** Of the database that they are on. */
  readonly url: string;
  readonly server: EmbeddedPostgres;
  query(text: string, database?: string): Promise<unknown[]>;
}

export function useStoresOfOnePostgres(): StoresOfOnePostgres {
  let server: EmbeddedPostgres;
  let stores: Store[] = [];
  let url = '';
  let databases = 0;

  async function query(text: string, database?: string): Promise<unknown[]> {
    const client = new Client({ connectionString: database === undefined ? url : server.url(database) });
    await client.connect();
    try {
      return (await client.query(text)).rows;
    } finally {
      await client.end();
    }
  }
  const closeStores = (): Promise<unknown> => Promise.all(stores.map((store) => store.close()));

  beforeAll(async () => {
    server = await startPostgres({ fsync: false });
  });
  afterAll(async () => {
    await closeStores();
    await server.stop();
  });
  beforeEach(async () => {
    await closeStores();
    const name = `shared_${++databases}`;
    await query(`create database ${name}`, 'postgres');
    url = server.url(name);
    stores = [await openPostgres({ url }), await openPostgres({ url })];
  });

  return {
    get stores() {
      return stores;
    },
    get url() {
      return url;
    },
    get server() {
      return server;
    },
    query,
  };
}
