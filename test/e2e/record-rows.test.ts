import { writeFile } from 'node:fs/promises';
import { Client } from 'pg';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { endAll, type Home, makeHome, run, startUp, type Up, until } from '../cli/remit.ts';
import { type EmbeddedPostgres, startPostgres } from '../support/embedded-postgres.ts';

/** A gateway process that adds its records to a table of a real PostgreSQL, is killed, and goes on without the database. */
const VARIABLE = 'REMIT_TEST_RECORD_ROWS';
let postgres: EmbeddedPostgres;
let home: Home;
let gateway: Up;

beforeAll(async () => {
  postgres = await startPostgres({ fsync: false });
  process.env[VARIABLE] = postgres.url('postgres');
  home = await makeHome();
  const ship = `{ postgres: { urlVariable: ${VARIABLE}, everySeconds: 1 } }`;
  await writeFile(home.config, `journal: { ship: ${ship} }\ntelemetry: { metrics: { port: 0 } }\n`, { flag: 'a' });
});
afterAll(async () => {
  await endAll();
  await postgres?.stop();
  delete process.env[VARIABLE];
});

async function positions(): Promise<number[]> {
  const client = new Client({ connectionString: postgres.url('postgres') });
  await client.connect();
  try {
    const { rows } = await client.query('select position from remit_records order by position');
    return (rows as { position: string }[]).map(({ position }) => Number(position));
  } catch {
    return [];
  } finally {
    await client.end();
  }
}

const written = async (): Promise<number> =>
  (await run(['audit', 'export', '--config', home.config])).stdout.split('\n').filter(Boolean).length;

async function behind(): Promise<number> {
  // What is logged may come a moment after the line that says that it serves.
  const url = await until(() => /"url":"([^"]+\/metrics)"/.exec(gateway.stderr())?.[1], 'where metrics are is said');
  const text = await (await fetch(url)).text();
  return Number(/^remit_journal_behind_records\{to="rows"\} (\d+)$/m.exec(text)?.[1]);
}

describe('records in a table', () => {
  it('A1 are each there once, also after kill −9, and the gateway serves while the database is down', {
    timeout: 240_000,
  }, async () => {
    gateway = await startUp(home.config);
    await run(['audit', 'rotate', '--config', home.config]);
    await until(async () => (await behind()) === 0, 'all are there');
    gateway.child.kill('SIGKILL');
    await gateway.exited;
    gateway = await startUp(home.config);
    await run(['audit', 'rotate', '--config', home.config]);
    await until(async () => (await behind()) === 0, 'all are there again');
    const count = await written();
    expect(await positions()).toEqual(Array.from({ length: count }, (_, index) => index));

    await postgres.stop();
    await run(['audit', 'rotate', '--config', home.config]);
    await until(() => gateway.stderr().includes('records could not be added to the table'), 'it is said');
    expect(await behind()).toBeGreaterThan(0);
    expect(await (await fetch(`${gateway.url}/healthz`)).json()).toMatchObject({ status: 'serving' });
    expect(await gateway.stop()).toBe(0);
    expect(await written()).toBeGreaterThan(count);
  });
});
