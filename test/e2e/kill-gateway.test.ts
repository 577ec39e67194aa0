import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { commandLines } from '../../demo/processes.ts';
import { type RunningProcess, runRemit, startRemitUp } from '../../demo/run-remit.ts';
import type { LeaseView } from '../../src/leases/lease-view.ts';
import { type EmbeddedPostgres, startPostgres } from '../support/embedded-postgres.ts';
import {
  callTool,
  eventually,
  type GovernedShop,
  makeGovernedShop,
  POSTGRES_SERVER as SERVER,
} from '../support/governed-shop.ts';
import { createShop, runSql } from '../support/shop-database.ts';
import { findPort } from '../support/whole-gateway.ts';

/** The gateway is a process of its own, as in production, so that kill −9 is what it is. Everything else is real too. */

let postgres: EmbeddedPostgres;
let scratch: string;

beforeAll(async () => {
  postgres = await startPostgres({ fsync: false });
  await createShop(postgres);
  scratch = await mkdtemp(join(tmpdir(), 'remit-kill-'));
}, 60_000);
afterAll(async () => {
  delete process.env.REMIT_TEST_STORE;
  await postgres?.stop();
  await rm(scratch, { recursive: true, force: true });
});

/** For PostgreSQL a database of its own, named by the environment variable that the configuration names. */
async function newStore(storeVariable: string | undefined): Promise<{ storeVariable?: string }> {
  if (storeVariable === undefined) return {};
  const database = `store_${Math.random().toString(36).slice(2)}`;
  await runSql(postgres, `CREATE DATABASE ${database}`, { database: 'postgres' });
  process.env[storeVariable] = postgres.url(database);
  return { storeVariable };
}

const SELECT = { sql: 'SELECT count(*) FROM orders' };

async function leases(shop: GovernedShop): Promise<LeaseView[]> {
  return JSON.parse(
    (await runRemit(['lease', 'ls', '--all', '--json', '--config', shop.config])).stdout,
  ) as LeaseView[];
}

const kill = async (gateway: RunningProcess): Promise<void> => {
  gateway.child.kill('SIGKILL');
  await gateway.stop();
};

const serversOf = (marker: string): number[] =>
  [...commandLines()].filter(([, line]) => line.includes(marker)).map(([pid]) => pid);

describe.each([
  ['SQLite', undefined],
  ['PostgreSQL', 'REMIT_TEST_STORE'],
])('kill −9 of the gateway, store on %s', (_name, storeVariable) => {
  it('L1 between issue and use: after a restart nothing that was issued is alive, and no process is left', async () => {
    // Lists its tools like the real server; given a credential it starts a process outside its group and never answers: the
    // credential is issued and sits in its environment, and the call never comes to use it.
    const marker = `remit-hangs-${Math.random().toString(36).slice(2)}`;
    const script = join(scratch, `${marker}.mjs`);
    await writeFile(
      script,
      `import { spawn } from 'node:child_process';
if (process.env.PGUSER === undefined) await import(${JSON.stringify(pathToFileURL(SERVER).href)});
else {
  spawn(process.execPath, ['-e', 'setInterval(() => {}, 1000)', '${marker}'], { detached: true, stdio: 'ignore' }).unref();
  setInterval(() => {}, 1000);
}`,
    );
    const shop = await makeGovernedShop({
      postgres,
      command: [process.execPath, script],
      ...(await newStore(storeVariable)),
    });
    let gateway: RunningProcess | undefined;
    try {
      gateway = await startRemitUp(shop.config);
      const session = await shop.open(gateway.ready.url);
      const abandoned = callTool(session, 'shop_db__query', SELECT).catch(() => 'cut off');
      const [role] = await eventually('a leased role', shop.roles, (roles) => roles.length === 1);
      await eventually(
        'the server and its grandchild',
        () => serversOf(marker),
        (pids) => pids.length >= 2,
      );
      await eventually(
        'an active lease',
        () => leases(shop),
        (all) => all.some((lease) => lease.state === 'active' && lease.tag === role),
      );

      await kill(gateway);
      expect(await abandoned).toBe('cut off');
      await eventually(
        'processes of the killed gateway',
        () => serversOf(marker),
        (pids) => pids.length === 0,
      );
      // Nobody is left who could revoke it: it is still there, and that it goes is the restart's doing.
      expect(await shop.roles()).toEqual([role]);

      gateway = await startRemitUp(shop.config);
      await eventually('roles after the restart', shop.roles, (roles) => roles.length === 0);
      expect((await leases(shop)).filter((lease) => lease.state !== 'ended')).toEqual([]);
      // The call was permitted and never came back: the trail says so (A1).
      const trail = (await runRemit(['audit', 'tail', '--json', '--type', 'outcome', '--config', shop.config])).stdout;
      expect(trail).toContain('outcome_unknown');
      await runRemit(['audit', 'verify', '--config', shop.config]);
    } finally {
      await gateway?.stop();
      await shop.remove();
    }
  }, 120_000);

  it('in the middle of use: the task goes on after a restart with a new credential and a charged budget', async () => {
    const shop = await makeGovernedShop({ postgres, ...(await newStore(storeVariable)) });
    // A port of its own, so that the session's token is still meant for the gateway after the restart.
    const text = await readFile(shop.config, 'utf8');
    await writeFile(shop.config, text.replace('port: 0 }', `port: ${await findPort()} }`));
    let gateway = await startRemitUp(shop.config);
    try {
      const session = await shop.open(gateway.ready.url, { budget: { calls: 3 } });
      expect((await callTool(session, 'shop_db__query', SELECT)).body.result?.isError).not.toBe(true);
      const [before] = await shop.roles();
      await kill(gateway);

      gateway = await startRemitUp(shop.config);
      await eventually('the old role', shop.roles, (roles) => !roles.includes(before as string));

      expect((await callTool(session, 'shop_db__query', SELECT)).body.result?.isError).not.toBe(true);
      const [after] = await shop.roles();
      expect(after).not.toBe(before);
      expect((await callTool(session, 'shop_db__query', SELECT)).body.result?.isError).not.toBe(true);
      const spent = await callTool(session, 'shop_db__query', SELECT);
      expect(spent.body.result?.content?.[0]?.text).toContain('remit:budget');
      await session.end();
      expect(await shop.roles()).toEqual([]);
      await runRemit(['audit', 'verify', '--config', shop.config]);
    } finally {
      await gateway.stop();
      await shop.remove();
    }
  }, 120_000);
});
