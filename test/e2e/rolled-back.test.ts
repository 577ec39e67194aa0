import { cp, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { AuditRecord } from '../../src/domain/record.ts';
import type { LeaseView } from '../../src/leases/lease-view.ts';
import { endAll, run, runJson, runToFail, startUp, until } from '../cli/remit.ts';
import { type EmbeddedPostgres, startPostgres } from '../support/embedded-postgres.ts';
import { callTool, type GovernedShop, makeGovernedShop } from '../support/governed-shop.ts';
import { createShop } from '../support/shop-database.ts';

/** Somebody puts an older copy of the log back. Everything is real: gateway processes, files, a database whose credentials are at stake. */

const AGENT = 'helper';
const SELECT = { sql: 'SELECT count(*) FROM orders' };

let postgres: EmbeddedPostgres;
let elsewhere: string;
let shop: GovernedShop;

beforeAll(async () => {
  postgres = await startPostgres({ fsync: false });
  await createShop(postgres);
  elsewhere = await mkdtemp(join(tmpdir(), 'remit-published-'));
  shop = await makeGovernedShop({ postgres });
}, 120_000);
afterAll(async () => {
  await endAll();
  await shop?.remove();
  await postgres?.stop();
  await rm(elsewhere, { recursive: true, force: true });
});

const config = (): readonly string[] => ['--config', shop.config];

async function trail(...more: readonly string[]): Promise<AuditRecord[]> {
  const { stdout } = await run(['audit', 'export', ...more, ...config()]);
  return stdout
    .split('\n')
    .filter(Boolean)
    .map((line) => JSON.parse(line) as AuditRecord);
}

describe('a log that is rolled back behind its published checkpoint', () => {
  it('A4 is not served on: credentials are revoked, nothing else is done, until a person goes on with a new one, on record', {
    timeout: 240_000,
  }, async () => {
    const published = join(elsewhere, 'checkpoint');
    const journal = join(dirname(shop.config), '.remit', 'journal');
    await writeFile(shop.config, `journal: { publish: { file: ${published}, everySeconds: 1 } }\n`, { flag: 'a' });

    // The copy of a day on which all was well.
    let gateway = await startUp(shop.config);
    expect(await gateway.stop()).toBe(0);
    const older = join(elsewhere, 'older');
    await cp(journal, older, { recursive: true });
    const sizeThen = Number((await readFile(published, 'utf8')).split('\n')[1]);

    // A day on which something happened that somebody would like to be gone.
    gateway = await startUp(shop.config);
    const session = await shop.open(gateway.url);
    expect((await callTool(session, 'shop_db__query', SELECT)).body.result?.isError).not.toBe(true);
    const decided = (await trail('--type', 'decision')).at(-1)?.seq as number;
    await until(
      async () => Number((await readFile(published, 'utf8')).split('\n')[1]) > decided,
      'a checkpoint over the call is published',
    );
    expect(await shop.roles()).toHaveLength(1);
    gateway.child.kill('SIGKILL');
    await gateway.exited;
    const anchor = await readFile(published, 'utf8');
    expect(await shop.roles()).toHaveLength(1);

    await rm(journal, { recursive: true });
    await cp(older, journal, { recursive: true });
    // By itself the older copy is sound: only what was kept elsewhere tells.
    expect(await runJson(['audit', 'verify', ...config()])).toMatchObject({ ok: true, size: sizeThen });
    expect(await runToFail(['audit', 'verify', '--anchor', published, ...config()])).toMatchObject({
      code: 'ERR_JOURNAL_DAMAGED',
      message: expect.stringContaining(`the log ends after ${sizeThen} records`),
    });

    const revokeOnly = await startUp(shop.config, 'revoke_only');
    await until(async () => (await shop.roles()).length === 0, 'the credential of the killed gateway is revoked');
    const leases = await runJson<LeaseView[]>(['lease', 'ls', '--all', ...config()]);
    expect(leases.map(({ state }) => state)).toEqual(['ended']);
    for (const path of ['/healthz', '/readyz', '/mcp', '/oauth/token']) {
      const answer = await fetch(`${revokeOnly.url}${path}`, { method: path.endsWith('z') ? 'GET' : 'POST' });
      // Alive, so that nobody restarts it; ready it is not.
      expect(answer.status, path).toBe(path === '/healthz' ? 200 : 503);
      expect(await answer.json()).toMatchObject({
        status: 'revoke_only',
        error_description: expect.stringContaining(`ends after ${sizeThen} records`),
      });
    }
    expect(await runToFail(['audit', 'rotate', ...config()])).toMatchObject({ code: 'ERR_JOURNAL_DAMAGED' });
    expect(await runToFail(['audit', 'accept-damage', ...config()])).toMatchObject({ code: 'ERR_ALREADY_RUNNING' });
    // A stop that is ordered now holds on every other node, and here from the next start; nothing is resumed off the record.
    const why = ['--reason', 'the log was rolled back'];
    expect(await runJson(['agent', 'suspend', AGENT, ...why, ...config()])).toMatchObject({ appliedHere: false });
    expect(await runToFail(['agent', 'resume', AGENT, ...why, ...config()])).toMatchObject({
      code: 'ERR_JOURNAL_DAMAGED',
    });
    expect(await revokeOnly.stop()).toBe(0);
    // Evidence: neither the copy nor what was published is touched.
    expect(await readFile(join(journal, '00000000.log'))).toEqual(await readFile(join(older, '00000000.log')));
    expect(await readFile(published, 'utf8')).toBe(anchor);

    const accepted = await runJson<{ kept: string; endedTasks: number }>(['audit', 'accept-damage', ...config()]);
    expect(accepted.endedTasks).toBe(1);
    expect(await readFile(join(accepted.kept, '00000000.log'))).toEqual(await readFile(join(older, '00000000.log')));
    gateway = await startUp(shop.config);
    const [first, ...rest] = await trail();
    expect(first).toMatchObject({
      seq: 0,
      type: 'administration',
      detail: {
        action: 'journal_damage_accept',
        kept: accepted.kept,
        problem: expect.stringContaining(`${sizeThen} records`),
      },
    });
    expect(first?.detail.lastCheckpoint).toContain(`\n${sizeThen}\n`);
    const started = rest.find(({ type }) => type === 'gateway_started');
    expect(started?.detail.held).toEqual([
      expect.objectContaining({ action: 'suspend', subject: `agent ${AGENT}`, reason: 'the log was rolled back' }),
    ]);
    // The task of that day is over: what it had used of its budget is not known any more.
    const tasks = await runJson<{ state: string; endReason: string }[]>(['task', 'ls', '--all', ...config()]);
    expect(new Set(tasks.map(({ state }) => state))).toEqual(new Set(['ended']));
    await until(async () => (await readFile(published, 'utf8')) !== anchor, 'the new journal is published');
    expect(await gateway.stop()).toBe(0);
    expect(await runJson(['audit', 'verify', '--anchor', published, ...config()])).toMatchObject({ ok: true });
  });
});
