import { access, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, expect, it, vi } from 'vitest';
import { createSystem } from '../../src/compose/system.ts';
import { taskKeyRecord } from '../../src/compose/trail/task-keys.ts';
import { openWorkspace } from '../../src/compose/workspace.ts';
import { taskId } from '../../src/domain/ids.ts';
import { connectTo, makeClient } from '../support/whole-gateway.ts';
import { endAll, makeHome, run, runJson, runToFail, start, startUp, until } from './remit.ts';

vi.setConfig({ testTimeout: 400_000 });
afterAll(endAll);

/** Rows as a long life leaves them: enough that a rotation takes a while. */
const TASKS = 1_000;

async function seed(config: string): Promise<void> {
  const workspace = await openWorkspace(config, createSystem({ log: 'silent' }));
  const { store, vault, estate } = workspace;
  for (let from = 0; from < TASKS; from += 250) {
    const rows = await Promise.all(
      Array.from({ length: 250 }, async (_, n) => {
        const task = taskId(`tsk_old${from + n}`);
        return {
          tenant: estate.tenant,
          task,
          ...(await vault.seal(taskKeyRecord(task), Buffer.alloc(32, 1))),
          createdAt: 1,
        };
      }),
    );
    await store.transaction(async ({ taskKeys }) => {
      for (const row of rows) await taskKeys.insert(row);
    });
  }
  await workspace.close();
}

interface KeyLine {
  readonly keyId: string;
  readonly role: string;
  readonly rows: number;
}

it('the vault’s key is rotated under a gateway that serves; kill −9 in the middle is made good by the next run', async () => {
  const { folder, config, edit } = await makeHome();
  await edit('calls: 200', 'calls: 100000');
  await run(['secret', 'put', 'kept', '--config', config], { input: 'a kept secret' });
  await seed(config);
  const up = await startUp(config);
  const startTask = ['task', 'start', '--agent', 'my-agent', '--template', 'read-files', '--config', config];
  const { access_token: token } = await runJson<{ access_token: string }>(startTask);
  const client = await connectTo(makeClient('legacy'), up, token);
  const path = join(folder, 'workspace');
  let calls = 0;
  const failed: unknown[] = [];
  let isOver = false;
  const calling = (async () => {
    while (!isOver) {
      const reply = await client
        .callTool({ name: 'files__list_directory', arguments: { path } })
        .catch((error: unknown) => ({ isError: true, error }));
      if (reply.isError === true) failed.push(reply);
      calls++;
      await new Promise((next) => setTimeout(next, 250));
    }
  })();

  const workspace = await openWorkspace(config, createSystem({ log: 'silent' }));
  const rowsOf = async (keyId: string) =>
    (await workspace.store.sealedRows.countByKey([workspace.estate.tenant])).get(keyId) ?? 0;
  expect(await rowsOf('file:kek-1')).toBeGreaterThan(TASKS);
  const broken = start(['keys', 'rotate-kek', '--config', config]);
  await until(async () => (await rowsOf('file:kek-2')) > 50, 'some rows are wrapped anew');
  broken.child.kill('SIGKILL');
  await broken.exited;
  const left = await rowsOf('file:kek-1');
  expect(left).toBeGreaterThan(0);
  expect(await rowsOf('file:kek-2')).toBeGreaterThan(50);
  expect(await readFile(config, 'utf8')).toContain('formerVaultKeys');
  // In between, everything works: what is old opens, what is new is sealed under the new key.
  await runJson(startTask);
  expect(await rowsOf('file:kek-1')).toBe(left);

  const done = await runJson(['keys', 'rotate-kek', '--config', config]);
  expect(done).toMatchObject({ current: 'file:kek-2', isForgotten: true, rewrapped: expect.any(Number) });
  await workspace.close();
  expect(await runJson<KeyLine[]>(['keys', 'ls', '--config', config])).toEqual([
    { keyId: 'file:kek-2', role: 'current', rows: expect.any(Number) },
  ]);
  expect(await readFile(config, 'utf8')).not.toContain('formerVaultKeys');
  // The file stays: backups that were made before need it.
  await access(join(folder, '.remit', 'vault.key'));
  await access(join(folder, '.remit', 'vault-kek-2.key'));

  await runJson(startTask);
  await until(() => calls > 20, 'calls went on');
  isOver = true;
  await calling;
  expect(failed).toEqual([]);
  await client.close();
  expect(await up.stop()).toBe(0);

  // The new key alone is enough for a start, and for reading what was sealed before the rotation.
  const again = await startUp(config);
  const records = await run([
    'audit',
    'tail',
    '-n',
    '500',
    '--json',
    '--type',
    'decision,administration',
    '--config',
    config,
  ]);
  const trail = records.stdout
    .split('\n')
    .filter(Boolean)
    .map((line) => JSON.parse(line) as { type: string; span?: string; detail: { action?: string; effect?: string } });
  expect(trail.map(({ detail }) => detail.action)).toContain('vault_key_rotate');
  const first = trail.find(({ type, detail }) => type === 'decision' && detail.effect === 'call');
  const shown = await run(['audit', 'show', first?.span ?? '', '--content', '--reason', 'test', '--config', config]);
  expect(shown.stdout + shown.stderr).toContain(path);
  await again.stop();
});

it('a new key that is missing, and one that others can read, rotate nothing', async () => {
  const home = await makeHome();
  await run(['secret', 'put', 'kept', '--config', home.config], { input: 'a kept secret' });
  await home.edit(
    'version: 1',
    'version: 1\nvaultKey: { kind: file, name: kek-2, path: nowhere.key }\nformerVaultKeys: [{ kind: file }]',
  );
  expect(await runToFail(['keys', 'rotate-kek', '--config', home.config])).toMatchObject({
    code: 'ERR_VAULT_KEY_MISSING',
    where: join(home.folder, 'nowhere.key'),
  });
  const found = await runJson<KeyLine[]>(['keys', 'ls', '--config', home.config]);
  expect(found.filter(({ rows }) => rows > 0).map(({ keyId }) => keyId)).toEqual(['file:kek-1']);
});

it('a key in an environment variable is a person’s to change: what to do is said', async () => {
  const home = await makeHome();
  await home.edit('version: 1', 'version: 1\nvaultKey: { kind: environment, variable: OLD_KEY }');
  expect(await runToFail(['keys', 'rotate-kek', '--config', home.config])).toMatchObject({
    code: 'ERR_USAGE',
    hint: expect.stringContaining('formerVaultKeys'),
  });
});
