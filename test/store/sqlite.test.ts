import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readFile, rename, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import Libsql from 'libsql';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { openSqlite, type SqliteOptions } from '../../src/adapters/store/open-sqlite.ts';
import { taskId } from '../../src/domain/ids.ts';
import type { Store } from '../../src/seams/store.ts';
import { storeSuite } from '../suites/store-suite.ts';
import { ACME, ENVELOPE, NOW, sampleSecret, sampleTask } from './samples.ts';

storeSuite('SQLite', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'remit-store-'));
  const path = join(folder, 'store.db');
  const stores: Store[] = [];
  const openAnother = async () => {
    const store = await openSqlite({ path, busyMs: 1_500 });
    stores.push(store);
    return store;
  };
  return {
    store: await openAnother(),
    openAnother,
    lock: async () => {
      const other = new Libsql(path);
      other.exec('BEGIN EXCLUSIVE');
      return async () => {
        other.exec('ROLLBACK');
        other.close();
      };
    },
    claimSchemaVersion: async (version) => {
      const other = new Libsql(path);
      other.prepare('insert into remit_schema (version) values (?)').run([version]);
      other.close();
    },
    close: async () => {
      for (const store of stores) await store.close();
      await rm(folder, { recursive: true });
    },
  };
});

describe('SQLite file', () => {
  let folder: string;
  let path: string;
  const stores: Store[] = [];
  const open = async (options: Partial<SqliteOptions> = {}) => {
    const store = await openSqlite({ path, busyMs: 300, ...options });
    stores.push(store);
    return store;
  };
  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'remit-store-'));
    path = join(folder, 'store.db');
  });
  afterEach(async () => {
    for (const store of stores.splice(0)) await store.close();
    await rm(folder, { recursive: true });
  });

  test('stores that are opened together on no file make the tables once', async () => {
    const [first, ...others] = await Promise.all([open(), open(), open(), open()]);
    await first.tasks.insert(sampleTask());
    for (const other of others) expect(await other.tasks.list(ACME)).toEqual([sampleTask()]);
  });

  test('L6 the files are for their owner alone', async () => {
    await (await open()).tasks.insert(sampleTask());
    for (const name of ['', '-wal', '-shm']) expect((await stat(path + name)).mode & 0o777).toBe(0o600);
  });

  test('D1 a full disk refuses every write, keeps what was there, and still reads', async () => {
    const store = await open({ maxPages: 80 });
    await store.tasks.insert(sampleTask());
    const large = (name: string) => store.secrets.put(sampleSecret({ name, envelope: Buffer.alloc(40_000) }));
    const outcomes = await Promise.allSettled(Array.from({ length: 20 }, (_, n) => large(`secret-${n}`)));
    const refused = outcomes.filter(({ status }) => status === 'rejected');
    expect(refused.length).toBeGreaterThan(0);
    for (const outcome of refused) {
      expect(outcome).toMatchObject({ reason: { code: 'ERR_STORE_FULL', where: path, hint: expect.any(String) } });
    }
    const undone = store.transaction(async ({ tasks, secrets }) => {
      await tasks.end(ACME, taskId('tsk_one'), 'revoked', NOW);
      await secrets.put(sampleSecret({ envelope: Buffer.alloc(400_000) }));
    });
    await expect(undone).rejects.toMatchObject({ code: 'ERR_STORE_FULL' });
    expect(await store.tasks.get(ACME, taskId('tsk_one'))).toEqual(sampleTask());
    expect(await store.secrets.list(ACME)).toHaveLength(20 - refused.length);
  });

  test('a missing folder, a folder in its place, and a file that is no database are unreachable', async () => {
    const gone = { path: join(folder, 'no', 'store.db') };
    await expect(open(gone)).rejects.toMatchObject({ code: 'ERR_STORE_UNREACHABLE', where: gone.path });
    await expect(open({ path: folder })).rejects.toMatchObject({ code: 'ERR_STORE_UNREACHABLE', where: folder });
    await writeFile(path, 'not a database at all '.repeat(500));
    await expect(open()).rejects.toMatchObject({ code: 'ERR_STORE_UNREACHABLE', hint: expect.any(String) });
  });

  test('a database of something else is left alone', async () => {
    const other = new Libsql(path);
    other.exec('create table tasks (theirs text)');
    other.close();
    await expect(open()).rejects.toMatchObject({ code: 'ERR_STORE_SCHEMA', where: path });
  });

  test('L1 a file that was moved away or replaced while open refuses instead of writing into nothing', async () => {
    const store = await open();
    await rename(path, `${path}.moved`);
    const unreachable = { code: 'ERR_STORE_UNREACHABLE', where: path };
    await expect(store.tasks.insert(sampleTask())).rejects.toMatchObject(unreachable);
    await writeFile(path, '');
    await expect(store.transaction(async () => 'never')).rejects.toMatchObject(unreachable);
    await rename(`${path}.moved`, path);
    await store.tasks.insert(sampleTask());
    expect(await store.tasks.list(ACME)).toHaveLength(1);
  });

  test('a file that is locked when it is opened is refused within the bound, and reads go on beside a writer', async () => {
    const store = await open();
    await store.tasks.insert(sampleTask());
    const writer = new Libsql(path);
    writer.exec('BEGIN IMMEDIATE');
    writer.exec("update tasks set purpose = 'changed'");
    await expect(open()).rejects.toMatchObject({ code: 'ERR_STORE_LOCKED', where: path });
    expect(await store.tasks.list(ACME)).toEqual([sampleTask()]);
    writer.exec('COMMIT');
    writer.close();
    expect((await store.tasks.list(ACME))[0]?.purpose).toBe('changed');
  });

  test('L1 after a write that met a lock, later writes are committed when they are acknowledged', async () => {
    const store = await open({ busyMs: 50 });
    const witness = new Libsql(path);
    const count = () => (witness.prepare('select count(*) as n from tasks').all()[0] as { n: number }).n;
    witness.exec('BEGIN IMMEDIATE');
    await expect(store.tasks.insert(sampleTask())).rejects.toMatchObject({ code: 'ERR_STORE_LOCKED' });
    await expect(store.tasks.end(ACME, taskId('tsk_one'), 'revoked', NOW)).rejects.toMatchObject({
      code: 'ERR_STORE_LOCKED',
    });
    witness.exec('ROLLBACK');
    await store.tasks.insert(sampleTask());
    expect(count()).toBe(1);
    await store.transaction(({ tasks }) => tasks.insert(sampleTask({ id: taskId('tsk_two') })));
    expect(count()).toBe(2);
    witness.close();
  });

  test('waiting for a lock does not hold up the process', async () => {
    const store = await open({ busyMs: 600 });
    const writer = new Libsql(path);
    writer.exec('BEGIN IMMEDIATE');
    let ticks = 0;
    const timer = setInterval(() => {
      ticks++;
    }, 5);
    await expect(store.tasks.insert(sampleTask())).rejects.toMatchObject({ code: 'ERR_STORE_LOCKED' });
    clearInterval(timer);
    writer.close();
    expect(ticks).toBeGreaterThan(10);
  });

  test('a transaction that waits for something else is undone at its time limit, and nobody waits longer', async () => {
    const store = await open({ transactionMs: 200 });
    let insertLater: () => Promise<void> = async () => {};
    const stuck = store.transaction(async ({ tasks }) => {
      await tasks.insert(sampleTask());
      insertLater = () => tasks.insert(sampleTask({ id: taskId('tsk_late') }));
      await new Promise(() => {});
    });
    const waiting = store.tasks.list(ACME);
    await expect(stuck).rejects.toMatchObject({ code: 'ERR_STORE_LOCKED', where: path });
    expect(await waiting).toEqual([]);
    await expect(insertLater()).rejects.toMatchObject({ code: 'ERR_INTERNAL' });
    expect(await store.tasks.list(ACME)).toEqual([]);
  });

  test('A5 an erased task key is nowhere in the file', async () => {
    const store = await open();
    const marked = Buffer.from('a-sealed-key-that-must-vanish');
    await store.taskKeys.insert({ tenant: ACME, task: taskId('t'), keyId: 'k', envelope: marked, createdAt: NOW });
    await store.close();
    expect((await readFile(path)).includes(marked)).toBe(true);
    const again = await open();
    expect(await again.taskKeys.erase(ACME, taskId('t'))).toBe(true);
    await again.close();
    for (const name of [path, `${path}-wal`]) {
      const bytes = await readFile(name).catch(() => Buffer.alloc(0));
      expect(bytes.includes(marked)).toBe(false);
    }
  });

  test('another process reads, ends and writes while this one writes', async () => {
    const store = await open({ busyMs: 5_000 });
    const other = spawn(process.execPath, ['--import', 'tsx', join(import.meta.dirname, 'other-process.ts'), path], {
      stdio: ['pipe', 'pipe', 'inherit'],
    });
    const exited = once(other, 'exit');
    try {
      const lines = createInterface({ input: other.stdout })[Symbol.asyncIterator]();
      expect((await lines.next()).value).toBe('open');
      let seen = '';
      const theirs = (async () => {
        seen = String((await lines.next()).value);
      })();
      for (let n = 0; seen === ''; n++) {
        await store.transaction(async ({ tasks, taskKeys }) => {
          const task = taskId(`tsk_ours_${n}`);
          await tasks.insert(sampleTask({ id: task }));
          await taskKeys.insert({ tenant: ACME, task, keyId: 'k', envelope: ENVELOPE, createdAt: NOW });
        });
        // Lets the other process's line in.
        await new Promise((resolve) => setImmediate(resolve));
      }
      await theirs;
      // It wrote 50 tasks beside ours, and never saw a task of ours without its key.
      expect(JSON.parse(seen)).toEqual({ written: 50, torn: 0 });
      const names = (await store.tasks.list(ACME)).map(({ id }) => id);
      expect(names.filter((id) => id.startsWith('tsk_theirs'))).toHaveLength(50);
      expect(names.some((id) => id.startsWith('tsk_ours'))).toBe(true);
    } finally {
      other.kill('SIGKILL');
      await exited;
    }
  });

  test('L1 what was acknowledged before a kill −9 is there afterwards', async () => {
    await (await open()).close();
    const other = spawn(
      process.execPath,
      ['--import', 'tsx', join(import.meta.dirname, 'other-process.ts'), path, 'forever'],
      { stdio: ['pipe', 'pipe', 'inherit'] },
    );
    const exited = once(other, 'exit');
    let last = '';
    for await (const line of createInterface({ input: other.stdout })) {
      last = line;
      if (line === '30') other.kill('SIGKILL');
    }
    await exited;
    const found = (await (await open()).tasks.list(ACME)).length;
    expect(found).toBeGreaterThanOrEqual(30);
    expect(found).toBeGreaterThanOrEqual(Number(last));
  });
});
