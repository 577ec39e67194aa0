import { access, appendFile, mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, beforeEach, describe, expect, it, vi } from 'vitest';
import { readRecords } from '../../src/audit/read-records.ts';
import { assertClockAgrees, checkClock } from '../../src/compose/check-clock.ts';
import { ensureVaultKey } from '../../src/compose/credentials/vault-key.ts';
import { startGateway } from '../../src/compose/start-gateway.ts';
import { createSystem } from '../../src/compose/system.ts';
import { createJournalAccess } from '../../src/compose/trail/journal-access.ts';
import { openWorkspace } from '../../src/compose/workspace.ts';
import { type EmbeddedPostgres, startPostgres } from '../support/embedded-postgres.ts';

const NOON = 1_800_000_000_000;

/** A host whose clock reads `ahead` more than the database's, and a database that takes a while to answer. */
function makeHost(tookMs = 0) {
  const host = { ahead: 0, isReached: true };
  const logged: string[] = [];
  const due: (() => void)[] = [];
  let database = NOON;
  const parts = {
    store: {
      shared: {
        server: {
          async now() {
            if (!host.isReached) throw new Error('the store does not answer');
            const asked = database + tookMs / 2;
            database += tookMs;
            return asked;
          },
        },
      },
    },
    system: {
      clock: () => database + host.ahead,
      schedule: (_ms: number, task: () => void) => {
        due.push(task);
        return () => {};
      },
      log: {
        error: (_: object, what: string) => logged.push(what),
        warn: (_: object, what: string) => logged.push(what),
      },
    },
  } as unknown as Parameters<typeof checkClock>[0];
  const minute = async (): Promise<void> => {
    due.shift()?.();
    await new Promise(setImmediate);
  };
  return { host, parts, logged, minute };
}

describe('the clock of a host beside that of its database', () => {
  it.each([0, 2_500, -2_500])('agrees at %d ms', async (ahead) => {
    const { host, parts } = makeHost();
    host.ahead = ahead;
    expect(await checkClock(parts)).toMatchObject({ hint: undefined });
  });

  it.each([
    [2_501, '3 seconds ahead of'],
    [3_600_000, '3600 seconds ahead of'],
    [-2_501, '3 seconds behind'],
    [-3_600_000, '3600 seconds behind'],
  ])('does not at %d ms, and it is said by how much', async (ahead, what) => {
    const { host, parts } = makeHost();
    host.ahead = ahead;
    expect(await checkClock(parts)).toEqual({
      what: expect.stringContaining(what),
      hint: expect.stringContaining('NTP'),
    });
    await expect(assertClockAgrees(parts, [])).rejects.toMatchObject({
      code: 'ERR_CONFIG_INVALID',
      where: expect.any(String),
    });
  });

  it('a slow answer proves no difference', async () => {
    expect(await checkClock(makeHost(8_000).parts)).toMatchObject({ hint: undefined });
  });

  it('one that is set while the gateway runs is told of within a minute, each minute, also after the store was away', async () => {
    const { host, parts, logged, minute } = makeHost();
    const closers: (() => unknown)[] = [];
    await assertClockAgrees(parts, closers);
    expect(closers).toHaveLength(1);
    await minute();
    expect(logged).toEqual([]);
    host.ahead = -60_000;
    await minute();
    host.isReached = false;
    await minute();
    host.isReached = true;
    await minute();
    const told = 'the clock is not that of the other nodes';
    expect(logged).toEqual([told, 'the clock could not be compared with the database’s', told]);
  });
});

describe('a node', () => {
  let postgres: EmbeddedPostgres;
  let folder: string;
  let config: string;
  const system = createSystem({ log: 'silent' });
  const environment = (name: string) =>
    name === 'STORE_OF_THE_TEST' ? postgres.url('postgres') : system.environment(name);
  beforeAll(async () => {
    postgres = await startPostgres({ fsync: false });
  });
  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'remit-clock-'));
    config = join(folder, 'remit.yaml');
    await mkdir(join(folder, 'policies'));
    await writeFile(
      config,
      'version: 1\nlisten: { port: 0 }\nstore: { kind: postgres, urlVariable: STORE_OF_THE_TEST }\nagents: {}\nconnectors: {}\ntemplates: {}\n',
    );
    return () => rm(folder, { recursive: true });
  });
  afterAll(() => postgres.stop());

  it.each([3_600_000, -3_600_000])(
    'whose clock is %d ms off is not started, and has revoked, ended and recorded nothing by it',
    async (off) => {
      const workspace = await openWorkspace(config, { ...system, environment, clock: () => Date.now() + off });
      try {
        await ensureVaultKey(workspace.loaded);
        await expect(startGateway(workspace, '0')).rejects.toMatchObject({
          code: 'ERR_CONFIG_INVALID',
          message: expect.stringContaining('3600 seconds'),
        });
        await expect(access(join(folder, '.remit', 'journal'))).rejects.toMatchObject({ code: 'ENOENT' });
      } finally {
        await workspace.close();
      }
    },
  );

  it('D1 whose clock is set while it serves takes and gives nothing within a second, says why, and serves again by itself', async () => {
    let off = 0;
    await appendFile(config, 'publicUrl: https://remit.example\n');
    const workspace = await openWorkspace(config, { ...system, environment, clock: () => Date.now() + off });
    let close = () => workspace.close();
    try {
      await ensureVaultKey(workspace.loaded);
      const gateway = await startGateway(workspace, '0');
      expect(gateway).toMatchObject({ url: 'https://remit.example', listens: expect.stringContaining('127.0.0.1') });
      close = async () => {
        await gateway.close();
        await workspace.close();
      };
      const ask = async (path: string) => {
        const response = await fetch(`${gateway.listens}${path}`);
        return { status: response.status, text: await response.text() };
      };
      const becomes = (status: number) =>
        vi.waitFor(async () => expect(await ask('/readyz')).toMatchObject({ status }), {
          timeout: 5_000,
          interval: 50,
        });
      expect((await ask('/approvals')).status).not.toBe(503);
      await becomes(200);
      const setAt = Date.now();
      off = 3_600_000;
      await becomes(503);
      expect(Date.now() - setAt).toBeLessThan(2_000);
      expect((await ask('/readyz')).text).toContain('3600 seconds ahead of');
      expect(await ask('/approvals')).toMatchObject({ status: 503, text: expect.stringContaining('3600 seconds') });
      off = 0;
      await becomes(200);
    } finally {
      await close();
    }
    const kinds: string[] = [];
    for await (const { type } of readRecords(createJournalAccess(join(folder, '.remit', 'journal')).read(0)))
      if (type.startsWith('denial_')) kinds.push(type);
    expect(kinds).toEqual(['denial_began', 'denial_ended']);
  });

  it('whose data folder cannot hold its name says which, and what to do', async () => {
    await mkdir(join(folder, '.remit', 'node'), { recursive: true });
    await expect(openWorkspace(config, { ...system, environment })).rejects.toMatchObject({
      code: 'ERR_STORE_UNREACHABLE',
      where: join(folder, '.remit'),
      hint: expect.stringContaining('written'),
    });
  });
});
