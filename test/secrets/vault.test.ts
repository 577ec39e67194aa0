import { randomBytes } from 'node:crypto';
import { inspect } from 'node:util';
import { beforeEach, describe, expect, it } from 'vitest';
import { type TenantId, tenantId } from '../../src/domain/ids.ts';
import { Secret } from '../../src/domain/secret.ts';
import type { KeyProvider } from '../../src/seams/key-provider.ts';
import { createVault, type Vault } from '../../src/secrets/vault.ts';
import {
  createFakeMemorySecretRepository,
  type FakeMemorySecretRepository,
} from '../support/fake-memory-secret-repository.ts';
import { localKey, never, ringOf } from '../support/key-rings.ts';

const CANARY = 'canary-3f9a1c77e2';
const TENANT = tenantId('default');

let repository: FakeMemorySecretRepository;
const kek = randomBytes(32);

function vault(keys: KeyProvider = localKey(kek), tenant: TenantId = TENANT): Vault {
  return createVault({
    repository,
    keys: ringOf(keys),
    tenant,
    clock: () => 1_000,
    schedule: never,
    random: randomBytes,
  });
}

beforeEach(() => {
  repository = createFakeMemorySecretRepository();
});

describe('vault', () => {
  it('gives back the newest version', async () => {
    expect(await vault().put('db', new Secret('old'))).toBe(1);
    expect(await vault().put('db', new Secret(CANARY))).toBe(2);
    expect((await vault().get('db')).reveal()).toBe(CANARY);
    expect(await vault().list()).toEqual([
      { name: 'db', version: 2, keyId: 'file:kek-1', createdAt: 1_000, fingerprint: undefined },
    ]);
  });

  it('stores the next version for who has read the newest one, and for nobody else', async () => {
    expect(await vault().putAfter('token', new Secret('one'), 0)).toBe(1);
    await expect(vault().putAfter('token', new Secret('two'), 0)).rejects.toMatchObject({ code: 'ERR_STORE_LOCKED' });
    const raced = await Promise.allSettled(
      ['two', 'three'].map((text) => vault().putAfter('token', new Secret(text), 1)),
    );
    expect(raced.map(({ status }) => status).sort()).toEqual(['fulfilled', 'rejected']);
    expect((await vault().getVersioned('token')).version).toBe(2);
  });

  it('keeps no secret in the clear at rest', async () => {
    await vault().put('db', new Secret(CANARY));
    expect(repository.rows[0]?.envelope.includes(CANARY)).toBe(false);
  });

  it('says ERR_SECRET_MISSING with the command that stores it', async () => {
    await expect(vault().get('db')).rejects.toMatchObject({
      code: 'ERR_SECRET_MISSING',
      hint: expect.stringContaining('remit secret put db'),
    });
  });

  it('removes, and says whether there was one', async () => {
    await vault().put('db', new Secret(CANARY));
    expect(await vault().remove('db')).toBe(true);
    expect(await vault().remove('db')).toBe(false);
    await expect(vault().get('db')).rejects.toMatchObject({ code: 'ERR_SECRET_MISSING' });
  });

  it('refuses with a wrong key, and with another key’s id', async () => {
    await vault().put('db', new Secret(CANARY));
    await expect(vault(localKey(randomBytes(32))).get('db')).rejects.toMatchObject({ code: 'ERR_VAULT_KEY_WRONG' });
    await expect(vault(localKey(kek, 'file:kek-2')).get('db')).rejects.toMatchObject({
      code: 'ERR_VAULT_KEY_WRONG',
      hint: expect.stringContaining('file:kek-1'),
    });
  });

  it('refuses an envelope that was moved to another name, tenant or version', async () => {
    await vault().put('db', new Secret(CANARY));
    const row = repository.rows[0];
    if (row === undefined) return expect.unreachable();
    repository.rows.push({ ...row, name: 'other' });
    await expect(vault().get('other')).rejects.toMatchObject({ code: 'ERR_VAULT_KEY_WRONG' });
    const stranger = tenantId('stranger');
    repository.rows.push({ ...row, tenant: stranger });
    await expect(vault(localKey(kek), stranger).get('db')).rejects.toMatchObject({ code: 'ERR_VAULT_KEY_WRONG' });
    repository.rows.push({ ...row, version: 2 });
    await expect(vault().get('db')).rejects.toMatchObject({ code: 'ERR_VAULT_KEY_WRONG' });
  });

  it('does not believe the name that a row says of itself', async () => {
    await vault().put('db', new Secret(CANARY));
    await vault().put('weak', new Secret('known to the attacker'));
    const [db, weak] = repository.rows;
    if (db === undefined || weak === undefined) return expect.unreachable();
    const get = repository.get;
    repository.get = async (tenant, name) => (name === 'db' ? weak : get(tenant, name));
    await expect(vault().get('db')).rejects.toMatchObject({ code: 'ERR_VAULT_KEY_WRONG' });
  });

  it('seals and opens rows of others, bound to their record', async () => {
    const sealed = await vault().seal('task-key:tsk_1', Buffer.from(CANARY));
    expect(await vault().open('task-key:tsk_1', sealed)).toEqual(Buffer.from(CANARY));
    await expect(vault().open('task-key:tsk_2', sealed)).rejects.toMatchObject({ code: 'ERR_VAULT_KEY_WRONG' });
  });

  it('does not let a sealed row pass as a secret', async () => {
    const sealed = await vault().seal('db', Buffer.from('from a row'));
    repository.rows.push({ tenant: TENANT, name: 'db', version: 1, ...sealed, fingerprint: undefined, createdAt: 0 });
    await expect(vault().get('db')).rejects.toMatchObject({ code: 'ERR_VAULT_KEY_WRONG' });
  });

  it('passes on a key provider’s refusal', async () => {
    const refuse = () => Promise.reject(new Error('no key'));
    const failing: KeyProvider = { keyId: 'file:kek-1', wrap: refuse, unwrap: refuse };
    await expect(vault(failing).put('db', new Secret(CANARY))).rejects.toThrow('no key');
    expect(repository.rows).toEqual([]);
  });

  it('L6 puts no secret into an error, a listing or what inspect shows', async () => {
    await vault().put('db', new Secret(CANARY));
    const error = await vault(localKey(randomBytes(32)))
      .get('db')
      .catch((thrown: unknown) => thrown);
    const shown = [error, await vault().get('db'), await vault().list(), vault(), repository.rows];
    for (const value of shown) expect(inspect(value, { depth: 9, showHidden: true })).not.toContain(CANARY);
    expect(JSON.stringify(await vault().get('db'))).toBe('"[secret]"');
  });
});
