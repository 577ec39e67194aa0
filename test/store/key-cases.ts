import { expect, test } from 'vitest';
import { taskId } from '../../src/domain/ids.ts';
import type { StoreFixture } from '../suites/store-suite.ts';
import { ACME, ENVELOPE, NOW, RIVAL, sampleSecret, sampleSigningKey } from './samples.ts';

const TASK = taskId('tsk_one');

export function testKeys(current: () => StoreFixture): void {
  test('A5 erasing a task takes every key that is named after it, and no other', async () => {
    const { taskKeys } = current().store;
    const row = (name: string) => ({
      tenant: ACME,
      task: taskId(name),
      keyId: 'k',
      envelope: ENVELOPE,
      createdAt: NOW,
    });
    for (const name of ['tsk_x', 'tsk_x.1', 'tsk_x.2', 'tsk_xy', 'tsk_y']) await taskKeys.insert(row(name));
    expect(await taskKeys.erase(ACME, taskId('tsk_x'))).toBe(true);
    expect(await taskKeys.erase(ACME, taskId('tsk_x'))).toBe(false);
    const left = await Promise.all(
      ['tsk_x', 'tsk_x.1', 'tsk_x.2', 'tsk_xy', 'tsk_y'].map((name) => taskKeys.get(ACME, taskId(name))),
    );
    expect(left.map((found) => found !== undefined)).toEqual([false, false, false, true, true]);
  });

  test('a secret comes back byte for byte, as a Buffer', async () => {
    const { secrets } = current().store;
    await secrets.put(sampleSecret());
    const found = await secrets.get(ACME, 'db-admin');
    expect(found).toEqual(sampleSecret());
    expect(Buffer.isBuffer(found?.envelope)).toBe(true);
    expect(await secrets.get(ACME, 'none')).toBeUndefined();
  });

  test('only the next version of a secret is accepted', async () => {
    const { secrets } = current().store;
    const refused = { code: 'ERR_STORE_LOCKED' };
    await expect(secrets.put(sampleSecret({ version: 2 }))).rejects.toMatchObject(refused);
    await secrets.put(sampleSecret());
    await expect(secrets.put(sampleSecret())).rejects.toMatchObject(refused);
    await expect(secrets.put(sampleSecret({ version: 3 }))).rejects.toMatchObject(refused);
    const second = sampleSecret({ version: 2, keyId: 'file:kek-2', envelope: Buffer.from('second') });
    await secrets.put(second);
    expect(await secrets.get(ACME, 'db-admin')).toEqual(second);
    expect(await secrets.list(ACME)).toEqual([second]);
  });

  test('of writers that race for one version exactly one succeeds', async () => {
    const { store, openAnother } = current();
    const other = await openAnother();
    for (const version of [1, 2]) {
      const attempts = Array.from({ length: 8 }, (_, n) =>
        (n % 2 === 0 ? store : other).secrets.put(sampleSecret({ version, envelope: Buffer.from([n]) })),
      );
      const outcomes = (await Promise.allSettled(attempts)).map(({ status }) => status);
      expect(outcomes.filter((status) => status === 'fulfilled')).toHaveLength(1);
      const stored = await store.secrets.get(ACME, 'db-admin');
      expect(stored?.envelope).toEqual(Buffer.from([outcomes.indexOf('fulfilled')]));
    }
  });

  test('secrets are listed by name, and removed', async () => {
    const { secrets } = current().store;
    for (const name of ['b', 'a']) await secrets.put(sampleSecret({ name }));
    expect((await secrets.list(ACME)).map(({ name }) => name)).toEqual(['a', 'b']);
    expect(await secrets.remove(ACME, 'a')).toBe(true);
    expect(await secrets.remove(ACME, 'a')).toBe(false);
    expect((await secrets.list(ACME)).map(({ name }) => name)).toEqual(['b']);
  });

  test('I1 another tenant’s secrets and task keys are out of reach', async () => {
    const { secrets, taskKeys } = current().store;
    await secrets.put(sampleSecret());
    await taskKeys.insert({ tenant: ACME, task: TASK, keyId: 'k', envelope: ENVELOPE, createdAt: NOW });
    expect(await secrets.get(RIVAL, 'db-admin')).toBeUndefined();
    expect(await secrets.list(RIVAL)).toEqual([]);
    expect(await secrets.remove(RIVAL, 'db-admin')).toBe(false);
    await expect(secrets.put(sampleSecret({ tenant: RIVAL, version: 2 }))).rejects.toMatchObject({
      code: 'ERR_STORE_LOCKED',
    });
    expect(await taskKeys.get(RIVAL, TASK)).toBeUndefined();
    expect(await taskKeys.erase(RIVAL, TASK)).toBe(false);
    expect(await secrets.get(ACME, 'db-admin')).toEqual(sampleSecret());
    expect(await taskKeys.get(ACME, TASK)).toEqual({ keyId: 'k', envelope: ENVELOPE });
  });

  test('A5 an erased task key is gone', async () => {
    const { taskKeys } = current().store;
    await taskKeys.insert({ tenant: ACME, task: TASK, keyId: 'k', envelope: ENVELOPE, createdAt: NOW });
    expect(await taskKeys.get(ACME, TASK)).toEqual({ keyId: 'k', envelope: ENVELOPE });
    expect(await taskKeys.erase(ACME, TASK)).toBe(true);
    expect(await taskKeys.get(ACME, TASK)).toBeUndefined();
    expect(await taskKeys.erase(ACME, TASK)).toBe(false);
  });

  test('rotating makes one signing key current and retires the one before', async () => {
    const { signingKeys } = current().store;
    expect(await signingKeys.list()).toEqual([]);
    await signingKeys.rotate(sampleSigningKey('a'), NOW + 10);
    await signingKeys.rotate(sampleSigningKey('b', { createdAt: NOW + 1 }), NOW + 20);
    await signingKeys.rotate(sampleSigningKey('c', { createdAt: NOW + 2 }), NOW + 30);
    expect(await signingKeys.list()).toEqual([
      sampleSigningKey('a', { state: 'retired', retiresAt: NOW + 20 }),
      sampleSigningKey('b', { createdAt: NOW + 1, state: 'retired', retiresAt: NOW + 30 }),
      sampleSigningKey('c', { createdAt: NOW + 2 }),
    ]);
    expect(await signingKeys.removeRetiredBefore(NOW + 20)).toBe(0);
    expect(await signingKeys.removeRetiredBefore(NOW + 21)).toBe(1);
    expect((await signingKeys.list()).map(({ kid }) => kid)).toEqual(['b', 'c']);
  });

  test('keeps keys of another purpose apart', async () => {
    const { signingKeys, connectorKeys } = current().store;
    await signingKeys.rotate(sampleSigningKey('a'), NOW);
    await connectorKeys.rotate(sampleSigningKey('b'), NOW);
    expect(await signingKeys.list()).toEqual([sampleSigningKey('a')]);
    expect(await connectorKeys.list()).toEqual([sampleSigningKey('b')]);
    await connectorKeys.rotate(sampleSigningKey('c'), NOW + 1);
    expect(await signingKeys.removeRetiredBefore(NOW + 100)).toBe(0);
    expect(await connectorKeys.removeRetiredBefore(NOW + 100)).toBe(1);
    expect(await signingKeys.list()).toEqual([sampleSigningKey('a')]);
  });

  test('a rotation that fails leaves the current key current', async () => {
    const { signingKeys } = current().store;
    await signingKeys.rotate(sampleSigningKey('a'), NOW);
    await expect(signingKeys.rotate(sampleSigningKey('a'), NOW)).rejects.toMatchObject({ code: 'ERR_STORE_LOCKED' });
    expect(await signingKeys.list()).toEqual([sampleSigningKey('a')]);
  });

  test('rotations at the same time never leave two current keys', async () => {
    const { store, openAnother } = current();
    const other = await openAnother();
    await store.signingKeys.rotate(sampleSigningKey('a'), NOW);
    const attempts = ['b', 'c', 'd', 'e'].map((kid, n) =>
      (n % 2 === 0 ? store : other).signingKeys.rotate(sampleSigningKey(kid), NOW),
    );
    const outcomes = await Promise.allSettled(attempts);
    expect(outcomes.some(({ status }) => status === 'fulfilled')).toBe(true);
    const states = (await store.signingKeys.list()).map(({ state }) => state);
    expect(states.filter((state) => state === 'current')).toHaveLength(1);
  });
}
