import { randomBytes } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import { tenantId } from '../../src/domain/ids.ts';
import { Secret } from '../../src/domain/secret.ts';
import { createKeyRing, type KeySet } from '../../src/secrets/key-ring.ts';
import { createVault } from '../../src/secrets/vault.ts';
import { createFakeKmsKeyProvider, FakeKms } from '../support/fake-kms.ts';
import { createFakeMemorySecretRepository } from '../support/fake-memory-secret-repository.ts';
import { localKey, never, ringOf } from '../support/key-rings.ts';

/** A schedule that a test fires. */
function handSchedule() {
  const timers = new Map<() => void, number>();
  return {
    schedule: (ms: number, task: () => void) => {
      timers.set(task, ms);
      return () => void timers.delete(task);
    },
    pending: () => timers.size,
    fire: () => {
      for (const task of [...timers.keys()]) {
        timers.delete(task);
        task();
      }
    },
  };
}

const repository = createFakeMemorySecretRepository();
const vaultWith = (keys: ReturnType<typeof ringOf>, schedule = never) =>
  createVault({ repository, keys, tenant: tenantId('default'), clock: () => 1, schedule, random: randomBytes });

describe('key ring', () => {
  it('opens under a former key what was sealed under it, and seals under the current one', async () => {
    const [old, next] = [localKey(randomBytes(32)), localKey(randomBytes(32), 'file:kek-2')];
    const sealed = await vaultWith(ringOf(old)).seal('row', Buffer.from('content'));
    const vault = vaultWith(ringOf(next, [old]));
    expect(await vault.open('row', sealed)).toEqual(Buffer.from('content'));
    expect((await vault.seal('row', Buffer.from('content'))).keyId).toBe('file:kek-2');
  });

  it('looks at the configuration once more for a key that it does not know', async () => {
    const [old, next] = [localKey(randomBytes(32)), localKey(randomBytes(32), 'file:kek-2')];
    let configured: KeySet = { current: old, former: [] };
    const keys = createKeyRing({
      initial: configured,
      load: async () => configured,
      schedule: never,
      random: randomBytes,
    });
    const sealed = await vaultWith(ringOf(next)).seal('row', Buffer.from('content'));
    await expect(vaultWith(keys).open('row', sealed)).rejects.toMatchObject({ code: 'ERR_VAULT_KEY_WRONG' });
    configured = { current: next, former: [old] };
    expect(await vaultWith(keys).open('row', sealed)).toEqual(Buffer.from('content'));
    expect(keys.current.keyId).toBe('file:kek-2');
  });

  it('does not take up a key that does not work, nor a configuration that cannot be read', async () => {
    const old = localKey(randomBytes(32));
    const kms = new FakeKms();
    const missing = { current: createFakeKmsKeyProvider(kms, 'none'), former: [old] };
    let load = async (): Promise<KeySet> => missing;
    const keys = createKeyRing({
      initial: { current: old, former: [] },
      load: () => load(),
      schedule: never,
      random: randomBytes,
    });
    await expect(keys.reload()).rejects.toMatchObject({ code: 'ERR_VAULT_KEY_MISSING' });
    load = () => Promise.reject(new Error('remit.yaml is being written'));
    await expect(keys.reload()).rejects.toThrow('being written');
    expect(await keys.find('file:kek-2')).toBeUndefined();
    expect(keys.current.keyId).toBe('file:kek-1');
  });

  it('refuses when a provider hangs: nothing is stored, nothing waits for ever', async () => {
    const hanging = { keyId: 'kms:slow', wrap: () => new Promise<never>(() => {}), unwrap: async () => undefined };
    const time = handSchedule();
    const put = vaultWith(ringOf(hanging, [], time.schedule)).put('db', new Secret('secret'));
    const refused = expect(put).rejects.toMatchObject({ code: 'ERR_VAULT_KEY_UNREACHABLE', where: 'kms:slow' });
    await new Promise(setImmediate);
    time.fire();
    await refused;
    expect(repository.rows).toEqual([]);
  });
});

describe('data keys', () => {
  it('are asked of a KMS once for a burst of leases, and again when their time is over', async () => {
    const kms = new FakeKms();
    const time = handSchedule();
    const vault = vaultWith(ringOf(createFakeKmsKeyProvider(kms, kms.createKey())), time.schedule);
    await vault.put('burst', new Secret('secret'));
    kms.requests = 0;
    const all = await Promise.all(Array.from({ length: 500 }, () => vault.get('burst')));
    expect(all.every((secret) => secret.reveal() === 'secret')).toBe(true);
    expect(kms.requests).toBe(1);
    expect(time.pending()).toBe(1);
    time.fire();
    expect((await vault.get('burst')).reveal()).toBe('secret');
    expect(kms.requests).toBe(2);
  });

  it('that are kept do not keep a secret alive: a removed one is gone at once', async () => {
    const kms = new FakeKms();
    const vault = vaultWith(ringOf(createFakeKmsKeyProvider(kms, kms.createKey())));
    await vault.put('gone', new Secret('secret'));
    await vault.get('gone');
    await vault.remove('gone');
    await expect(vault.get('gone')).rejects.toMatchObject({ code: 'ERR_SECRET_MISSING' });
  });

  it('are not kept when the KMS refuses: it is asked again', async () => {
    const kms = new FakeKms();
    const vault = vaultWith(ringOf(createFakeKmsKeyProvider(kms, kms.createKey())));
    await vault.put('later', new Secret('secret'));
    kms.before = () => Promise.reject(new Error('throttled'));
    await expect(vault.get('later')).rejects.toMatchObject({ code: 'ERR_VAULT_KEY_UNREACHABLE' });
    kms.before = async () => {};
    expect((await vault.get('later')).reveal()).toBe('secret');
  });
});
