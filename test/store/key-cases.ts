import { expect, test } from 'vitest';
import { taskId } from '../../src/domain/ids.ts';
import type { StoreFixture } from '../suites/store-suite.ts';
import { ACME, ENVELOPE, NOW, RIVAL, sampleLease, sampleSecret, sampleSigningKey } from './samples.ts';

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
    expect((await secrets.list(ACME, ['b', 'absent'])).map(({ name }) => name)).toEqual(['b']);
    expect(await secrets.list(ACME, [])).toEqual([]);
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

  test('equal fingerprints are found in every tenant; one that is missing can be set', async () => {
    const { secrets } = current().store;
    await secrets.put(sampleSecret({ name: 'a', fingerprint: 'f1' }));
    await secrets.put(sampleSecret({ name: 'b' }));
    await secrets.put(sampleSecret({ tenant: RIVAL, name: 'c', fingerprint: 'f1' }));
    expect(await secrets.withFingerprint('f2')).toEqual([]);
    expect(await secrets.setFingerprint(ACME, 'b', 1, 'f1')).toBe(true);
    expect(await secrets.setFingerprint(ACME, 'b', 2, 'f2')).toBe(false);
    expect(await secrets.withFingerprint('f1')).toEqual([
      { tenant: ACME, name: 'a' },
      { tenant: ACME, name: 'b' },
      { tenant: RIVAL, name: 'c' },
    ]);
    await secrets.put(sampleSecret({ name: 'a', version: 2, fingerprint: 'f2' }));
    expect(await secrets.withFingerprint('f2')).toEqual([{ tenant: ACME, name: 'a' }]);
  });

  test('envelopes are found by the key that wrapped them, whoever keeps them, and replaced where they are unchanged', async () => {
    const { store } = current();
    const { sealedRows } = store;
    await store.secrets.put(sampleSecret({ keyId: 'k1' }));
    await store.secrets.put(sampleSecret({ tenant: RIVAL, keyId: 'k1' }));
    await store.taskKeys.insert({ tenant: ACME, task: TASK, keyId: 'k1', envelope: ENVELOPE, createdAt: NOW });
    await store.signingKeys.rotate(sampleSigningKey('a', { keyId: 'k1' }), NOW);
    const lease = sampleLease();
    await store.leases.insert(lease);
    const handle = { keyId: 'k1', envelope: Buffer.from('handle') };
    await store.leases.update(lease, [lease.state], { handle });
    const found = await sealedRows.under([ACME], ['k1'], 10);
    expect(found.map(({ kind, id }) => `${kind} ${id}`).sort()).toEqual(
      ['secret db-admin', 'signing_key a', `lease_handle ${lease.id}`, `task_key ${TASK}`].sort(),
    );
    expect(await sealedRows.under([ACME], ['k1'], 2)).toHaveLength(2);
    expect(await sealedRows.under([ACME], [], 10)).toEqual([]);
    expect(await sealedRows.countByKey([ACME])).toEqual(new Map([['k1', 4]]));
    for (const row of found) {
      expect(Buffer.isBuffer(row.envelope)).toBe(true);
      const next = { keyId: 'k2', envelope: Buffer.from(`again ${row.kind}`) };
      expect(await sealedRows.replace({ ...row, envelope: Buffer.from('another') }, next)).toBe(false);
      expect(await sealedRows.replace(row, next)).toBe(true);
      expect(await sealedRows.replace(row, next)).toBe(false);
    }
    expect(await sealedRows.countByKey([ACME, RIVAL])).toEqual(
      new Map([
        ['k2', 4],
        ['k1', 1],
      ]),
    );
    expect((await store.secrets.get(ACME, 'db-admin'))?.envelope.toString()).toBe('again secret');
    expect((await store.leases.handle(lease.tenant, lease.id))?.envelope.toString()).toBe('again lease_handle');
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
