import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmod, mkdtemp, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { Client } from 'pg';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { startPostgres } from '../support/embedded-postgres.ts';

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'remit-pg-test-'));
  // For root the server runs as another user, who must be able to enter.
  await chmod(folder, 0o711);
});
afterEach(async () => {
  await rm(folder, { recursive: true, force: true });
});

const isAlive = (pid: number) => {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
};

const isThere = (path: string) =>
  stat(path).then(
    () => true,
    () => false,
  );

async function until(condition: () => Promise<boolean> | boolean): Promise<void> {
  const deadline = Date.now() + 10_000;
  while (!(await condition())) {
    if (Date.now() > deadline) throw new Error('did not happen within 10 s');
    await delay(20);
  }
}

test('serves the named folder with the password only, and leaves nothing when stopped', async () => {
  const data = join(folder, 'data');
  const server = await startPostgres({ folder: data, fsync: false });
  try {
    const client = new Client({ connectionString: server.url('postgres') });
    await client.connect();
    const { rows } = await client.query(`SELECT current_setting('data_directory') AS data, version() AS version`);
    expect(rows[0].data).toBe(data);
    expect(rows[0].version).toContain('PostgreSQL 18');
    await client.end();
    const stranger = new Client({ host: server.host, port: server.port, user: 'postgres', password: 'guess' });
    await expect(stranger.connect()).rejects.toMatchObject({ code: '28P01' });
  } finally {
    await Promise.all([server.stop(), server.stop()]);
  }
  expect(isAlive(server.pid)).toBe(false);
  expect(await isThere(data)).toBe(false);
});

test('refuses a folder that holds something', async () => {
  await writeFile(join(folder, 'mine'), '');
  await expect(startPostgres({ folder })).rejects.toThrow('not empty');
  expect(await isThere(join(folder, 'mine'))).toBe(true);
});

test('ends with its parent, even when that is killed', async () => {
  const data = join(folder, 'data');
  const module = JSON.stringify(new URL('../support/embedded-postgres.ts', import.meta.url).href);
  const script = `import { startPostgres } from ${module};
    const { pid } = await startPostgres({ folder: ${JSON.stringify(data)}, fsync: false });
    console.log(pid); setInterval(() => {}, 1000);`;
  const parent = spawn(process.execPath, ['--import', 'tsx', '--input-type=module', '-e', script], {
    cwd: import.meta.dirname,
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const exited = once(parent, 'exit');
  const [line] = (await Promise.race([once(parent.stdout, 'data'), exited])) as [Buffer | number];
  const pid = Number(line.toString());
  expect(pid).toBeGreaterThan(1);
  expect(isAlive(pid)).toBe(true);
  parent.kill('SIGKILL');
  await exited;
  await until(() => !isAlive(pid));
  await until(async () => !(await isThere(join(data, 'PG_VERSION'))));
});
