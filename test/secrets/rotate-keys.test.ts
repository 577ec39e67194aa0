import { randomBytes } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { openSqlite } from '../../src/adapters/store/open-sqlite.ts';
import { taskId, tenantId } from '../../src/domain/ids.ts';
import { Secret } from '../../src/domain/secret.ts';
import type { KeyProvider } from '../../src/seams/key-provider.ts';
import type { SealedRow, SealedRowRepository, Store } from '../../src/seams/store.ts';
import { STORE_WIDE } from '../../src/secrets/fingerprints.ts';
import { rewrapAll } from '../../src/secrets/rotate-keys.ts';
import { createVault } from '../../src/secrets/vault.ts';
import { createFakeKmsKeyProvider, FakeKms } from '../support/fake-kms.ts';
import { localKey, never, ringOf } from '../support/key-rings.ts';

const tenant = tenantId('default');
const TASKS = Array.from({ length: 12 }, (_, n) => taskId(`tsk_${n}`));
const OLD = localKey(randomBytes(32), 'file:kek-1');
const NEW = localKey(randomBytes(32), 'file:kek-2');

let folder: string;
let store: Store;

const vaultWith = (current: KeyProvider, ...former: KeyProvider[]) =>
  createVault({
    repository: store.secrets,
    keys: ringOf(current, former),
    tenant,
    clock: () => 1,
    schedule: never,
    random: randomBytes,
  });
const recordOf = ({ kind, id }: SealedRow): string => (kind === 'task_key' ? `task-key:${id}` : `signing-key:${id}`);
const rotate = (current: KeyProvider, former: KeyProvider, repository: SealedRowRepository = store.sealedRows) =>
  rewrapAll({ repository, keys: ringOf(current, [former]), tenant, recordOf });
const counts = async () => Object.fromEntries(await store.sealedRows.countByKey([tenant, STORE_WIDE]));

/** Opens every row there is. */
async function openAll(...keys: [KeyProvider, ...KeyProvider[]]): Promise<void> {
  const vault = vaultWith(...keys);
  expect((await vault.get('db')).reveal()).toBe('the secret');
  for (const task of TASKS) {
    const row = await store.taskKeys.get(tenant, task);
    if (row === undefined) return expect.unreachable();
    expect((await vault.open(`task-key:${task}`, row)).toString()).toBe(`key of ${task}`);
  }
  for (const row of await store.signingKeys.list()) {
    expect((await vault.open(`signing-key:${row.kid}`, row)).toString()).toBe('signing key');
  }
  expect(await vault.fingerprint(new Secret('the secret'))).toBe(fingerprint);
}

let fingerprint: string;
const ROWS = TASKS.length + 3;

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'remit-rotate-'));
  store = await openSqlite({ path: join(folder, 'remit.db') });
});
afterEach(async () => {
  await store.close();
  await rm(folder, { recursive: true });
});

async function fill(key: KeyProvider): Promise<void> {
  const vault = vaultWith(key);
  const secret = new Secret('the secret');
  fingerprint = await vault.fingerprint(secret);
  await vault.put('db', secret, fingerprint);
  for (const task of TASKS) {
    const sealed = await vault.seal(`task-key:${task}`, Buffer.from(`key of ${task}`));
    await store.taskKeys.insert({ tenant, task, ...sealed, createdAt: 1 });
  }
  const sealed = await vault.seal('signing-key:a', Buffer.from('signing key'));
  await store.signingKeys.rotate({ kid: 'a', state: 'current', ...sealed, createdAt: 1, retiresAt: undefined }, 1);
}

describe('rotating the vault’s key', () => {
  it('wraps every row anew: the former key opens none and is needed by none', async () => {
    await fill(OLD);
    expect(await counts()).toEqual({ 'file:kek-1': ROWS });
    expect(await rotate(NEW, OLD)).toBe(ROWS);
    expect(await counts()).toEqual({ 'file:kek-2': ROWS });
    await openAll(NEW);
    await expect(vaultWith(OLD).get('db')).rejects.toMatchObject({ code: 'ERR_VAULT_KEY_WRONG' });
    expect(await rotate(NEW, OLD)).toBe(0);
  });

  it.each([
    ['the KMS that wraps', 'to'],
    ['the KMS that unwraps', 'from'],
    ['the store', 'store'],
  ])('broken off by a fault of %s loses nothing, and is finished by the next run', async (_, failing) => {
    const kms = new FakeKms();
    const other = createFakeKmsKeyProvider(kms, kms.createKey());
    const [from, to] = failing === 'from' ? [other, NEW] : [OLD, other];
    await fill(from);
    let left = 5;
    const fail = async (): Promise<void> => {
      if (left-- <= 0) throw new Error('out of order');
    };
    const { sealedRows } = store;
    const breaking: SealedRowRepository = {
      ...sealedRows,
      replace: async (...args) => {
        if (failing === 'store') await fail();
        return sealedRows.replace(...args);
      },
    };
    if (failing !== 'store') kms.before = fail;
    await expect(rotate(to, from, breaking)).rejects.toThrow();
    kms.before = async () => {};
    const broken = await counts();
    expect(broken[from.keyId]).toBeGreaterThan(0);
    expect(broken[to.keyId]).toBeGreaterThan(0);
    await openAll(to, from);
    expect(await rotate(to, from)).toBe(broken[from.keyId]);
    await openAll(to);
  });

  it('is refused by a former key that is another one of the same name: no row is changed', async () => {
    await fill(OLD);
    const wrong = localKey(randomBytes(32), 'file:kek-1');
    await expect(rotate(NEW, wrong)).rejects.toMatchObject({ code: 'ERR_VAULT_KEY_WRONG' });
    expect(await counts()).toEqual({ 'file:kek-1': ROWS });
    await openAll(OLD);
  });

  it('is refused where the former key is missing', async () => {
    await fill(OLD);
    const kms = new FakeKms();
    const missing = { ...createFakeKmsKeyProvider(kms, 'none'), keyId: 'file:kek-1' };
    await expect(rotate(NEW, missing)).rejects.toMatchObject({ code: 'ERR_VAULT_KEY_MISSING' });
    expect(await counts()).toEqual({ 'file:kek-1': ROWS });
  });

  it('stops at a row that was altered, names it and leaves it as it is', async () => {
    await fill(OLD);
    const [row] = await store.sealedRows.under([tenant], ['file:kek-1'], 1);
    if (row === undefined) return expect.unreachable();
    const altered = Buffer.from(row.envelope);
    altered[altered.length - 1] = (altered.at(-1) as number) ^ 1;
    await store.sealedRows.replace(row, { keyId: row.keyId, envelope: altered });
    await expect(rotate(NEW, OLD)).rejects.toMatchObject({
      code: 'ERR_VAULT_KEY_WRONG',
      where: expect.stringContaining(row.id),
    });
    expect((await counts())['file:kek-1']).toBeGreaterThan(0);
  });

  it('does not undo a change that somebody makes meanwhile', async () => {
    await fill(OLD);
    const { sealedRows } = store;
    let isFirst = true;
    const racing: SealedRowRepository = {
      ...sealedRows,
      async replace(row, next) {
        if (isFirst && row.kind === 'secret' && row.id === 'db') {
          isFirst = false;
          await vaultWith(OLD).put('db', new Secret('newer'));
        }
        return sealedRows.replace(row, next);
      },
    };
    await rotate(NEW, OLD, racing);
    expect((await vaultWith(NEW).get('db')).reveal()).toBe('newer');
    expect(await counts()).toEqual({ 'file:kek-2': ROWS });
  });
});
