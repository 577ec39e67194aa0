import { expect, test } from 'vitest';
import { leaseId, taskId } from '../../src/domain/ids.ts';
import type { Store } from '../../src/seams/store.ts';
import type { StoreFixture } from '../suites/store-suite.ts';
import { ACME, NOW, sampleLease, sampleSecret, sampleSigningKey, sampleTask } from './samples.ts';

/** A promise and what settles it. */
function gate(): { passed: Promise<void>; open: () => void } {
  let open = () => {};
  const passed = new Promise<void>((resolve) => {
    open = resolve;
  });
  return { passed, open };
}

const ids = async (store: Store) => (await store.tasks.list(ACME)).map(({ id }) => id);

export function testTransactions(current: () => StoreFixture): void {
  test('a transaction gives what its work gives, and all of it is there for others', async () => {
    const { store, openAnother } = current();
    const result = await store.transaction(async ({ tasks, leases, signingKeys, inventory }) => {
      await tasks.insert(sampleTask());
      await leases.insert(sampleLease());
      await signingKeys.rotate(sampleSigningKey('a'), NOW);
      await inventory.recordTools(ACME, 'shop_db', []);
      return (await tasks.get(ACME, taskId('tsk_one')))?.purpose;
    });
    expect(result).toBe('write the weekly report');
    const other = await openAnother();
    expect(await other.leases.get(ACME, leaseId('lse_one'))).toEqual(sampleLease());
    expect(await other.signingKeys.list()).toEqual([sampleSigningKey('a')]);
  });

  test('a transaction whose work throws leaves nothing, and throws what the work threw', async () => {
    const { store } = current();
    const own = new TypeError('of the caller');
    const failing = store.transaction(async ({ tasks, signingKeys }) => {
      await tasks.insert(sampleTask());
      await signingKeys.rotate(sampleSigningKey('a'), NOW);
      throw own;
    });
    await expect(failing).rejects.toBe(own);
    expect(await ids(store)).toEqual([]);
    expect(await store.signingKeys.list()).toEqual([]);
  });

  test('L1 a statement that failed undoes the transaction even if its work hides the failure', async () => {
    const { store } = current();
    await store.tasks.insert(sampleTask());
    const hiding = store.transaction(async ({ tasks, leases }) => {
      await leases.insert(sampleLease());
      await tasks.insert(sampleTask()).catch(() => {});
    });
    await expect(hiding).rejects.toMatchObject({ code: 'ERR_STORE_LOCKED' });
    expect(await store.leases.list(ACME)).toEqual([]);
  });

  test('statements from outside neither join a running transaction nor see into it', async () => {
    const { store } = current();
    const started = gate();
    const goOn = gate();
    const transaction = store.transaction(async ({ tasks }) => {
      await tasks.insert(sampleTask({ id: taskId('tsk_inside') }));
      started.open();
      await goOn.passed;
      throw new Error('undo');
    });
    transaction.catch(() => {});
    await started.passed;
    const insert = store.tasks.insert(sampleTask({ id: taskId('tsk_outside') }));
    const seen = ids(store);
    const second = store.transaction(({ tasks }) => tasks.insert(sampleTask({ id: taskId('tsk_second') })));
    goOn.open();
    await expect(transaction).rejects.toThrow('undo');
    await Promise.all([insert, second]);
    expect(await seen).not.toContain('tsk_inside');
    expect((await ids(store)).sort()).toEqual(['tsk_outside', 'tsk_second']);
  });

  test('many transactions and statements at once are each whole', async () => {
    const { store, openAnother } = current();
    const stores = [store, await openAnother()];
    const outcomes = await Promise.allSettled(
      Array.from({ length: 40 }, (_, n) => {
        const chosen = stores[n % 2] as Store;
        const task = sampleTask({ id: taskId(`tsk_${n}`) });
        const lease = sampleLease({ id: leaseId(`lse_${n}`), task: task.id });
        if (n % 5 === 0) return chosen.tasks.insert(task);
        return chosen.transaction(async ({ tasks, leases }) => {
          await tasks.insert(task);
          if (n % 5 === 1) throw new Error('undo');
          await leases.insert(lease);
        });
      }),
    );
    const failed = outcomes.flatMap(({ status }, n) => (status === 'rejected' ? [n] : []));
    expect(failed).toEqual([1, 6, 11, 16, 21, 26, 31, 36]);
    expect(await store.tasks.list(ACME)).toHaveLength(32);
    expect(await store.leases.list(ACME)).toHaveLength(24);
  });

  test('nested use is refused at once instead of waiting for itself', async () => {
    const { store } = current();
    const nested = store.transaction(async () => store.transaction(async () => 'never'));
    await expect(nested).rejects.toMatchObject({ code: 'ERR_INTERNAL' });
    const around = store.transaction(async () => store.tasks.list(ACME));
    await expect(around).rejects.toMatchObject({ code: 'ERR_INTERNAL' });
    await expect(store.transaction(() => store.close())).rejects.toMatchObject({ code: 'ERR_INTERNAL' });
    expect(await store.transaction(async ({ tasks }) => tasks.list(ACME))).toEqual([]);
  });

  test('what a transaction gave is of no use after its end', async () => {
    const { store } = current();
    const tasks = await store.transaction(async (repositories) => repositories.tasks);
    await expect(tasks.insert(sampleTask())).rejects.toMatchObject({ code: 'ERR_INTERNAL' });
    expect(await ids(store)).toEqual([]);
  });

  test('rows survive closing and opening again', async () => {
    const { store, openAnother } = current();
    await store.tasks.insert(sampleTask());
    await store.leases.insert(sampleLease());
    await store.secrets.put(sampleSecret());
    await store.close();
    const again = await openAnother();
    expect(await again.tasks.list(ACME)).toEqual([sampleTask()]);
    expect(await again.leases.list(ACME)).toEqual([sampleLease()]);
    expect(await again.secrets.list(ACME)).toEqual([sampleSecret()]);
  });

  test('stores that are opened at the same time make the tables once', async () => {
    const { store, openAnother } = current();
    await Promise.all([openAnother(), openAnother(), openAnother()]);
    expect(await ids(store)).toEqual([]);
  });

  test('a closed store refuses, and closing waits for what runs', async () => {
    const { store, openAnother } = current();
    const insert = store.tasks.insert(sampleTask());
    await Promise.all([store.close(), store.close()]);
    await insert;
    await expect(store.tasks.list(ACME)).rejects.toMatchObject({ code: 'ERR_STORE_UNREACHABLE' });
    expect(await ids(await openAnother())).toEqual(['tsk_one']);
  });

  test('D1 a store that someone else holds locked refuses within its bound, and serves again afterwards', async () => {
    const { store, lock } = current();
    const unlock = await lock();
    const locked = { code: 'ERR_STORE_LOCKED', hint: expect.any(String), where: expect.any(String) };
    const started = performance.now();
    const outcomes = await Promise.allSettled([
      store.tasks.insert(sampleTask()),
      store.leases.update({ tenant: ACME, id: leaseId('lse_one'), fence: 1 }, ['active'], { state: 'ended' }),
      store.transaction(({ tasks }) => tasks.insert(sampleTask())),
    ]);
    expect(performance.now() - started).toBeLessThan(10_000);
    for (const outcome of outcomes) expect(outcome).toMatchObject({ status: 'rejected', reason: locked });
    await unlock();
    await store.tasks.insert(sampleTask());
    expect(await ids(store)).toEqual(['tsk_one']);
  });

  test('a lock that is given back within the bound is waited for', async () => {
    const { store, lock } = current();
    const unlock = await lock();
    const insert = store.tasks.insert(sampleTask());
    const transaction = store.transaction(({ leases }) => leases.insert(sampleLease()));
    setTimeout(() => void unlock(), 150);
    await Promise.all([insert, transaction]);
    expect(await ids(store)).toEqual(['tsk_one']);
  });

  test('a store that a newer version wrote is not opened', async () => {
    const { openAnother, claimSchemaVersion } = current();
    await claimSchemaVersion(999);
    await expect(openAnother()).rejects.toMatchObject({
      code: 'ERR_STORE_SCHEMA',
      message: expect.stringContaining('999'),
      hint: expect.any(String),
    });
  });
}
