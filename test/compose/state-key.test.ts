import { randomBytes } from 'node:crypto';
import { expect, it } from 'vitest';
import {
  assertKeyOfStore,
  keepStateKey,
  loadOrCreateStateKey,
  loadStateKey,
  STATE_KEY,
} from '../../src/compose/credentials/state-key.ts';
import { openJournal } from '../../src/compose/trail/open-journal.ts';
import { RemitError } from '../../src/domain/errors.ts';
import { type RandomBytes, tenantId } from '../../src/domain/ids.ts';
import type { TaskKeyRepository } from '../../src/seams/store.ts';
import { createVault } from '../../src/secrets/vault.ts';
import { createFakeMemorySecretRepository } from '../support/fake-memory-secret-repository.ts';
import { localKey, never, ringOf } from '../support/key-rings.ts';

const tenant = tenantId('default');

function makeStore() {
  const rows = new Map<string, { keyId: string; envelope: Buffer }>();
  const repository: TaskKeyRepository = {
    async insert({ task, keyId, envelope }) {
      if (rows.has(task)) throw new RemitError('ERR_STORE_LOCKED', 'another writer was there first');
      rows.set(task, { keyId, envelope });
    },
    get: async (_tenant, task) => rows.get(task),
    erase: async (_tenant, task) => rows.delete(task),
  };
  const vault = createVault({
    repository: createFakeMemorySecretRepository(),
    keys: ringOf(localKey(randomBytes(32))),
    tenant,
    clock: () => 1,
    schedule: never,
    random: randomBytes,
  });
  const parts = { tenant, repository, vault, random: randomBytes, clock: () => 1 };
  const load = (random: RandomBytes = randomBytes) => loadOrCreateStateKey({ ...parts, random });
  return { rows, vault, parts, load };
}

it('A17: the sealing key is made once, kept sealed, and the same after a restart', async () => {
  const { rows, load } = makeStore();
  const key = Buffer.from(await load());
  expect(key.length).toBe(32);
  expect(rows.get(STATE_KEY)?.envelope.includes(key)).toBe(false);
  expect(await load()).toEqual(key);
  expect(rows.size).toBe(1);
});

it('two nodes that start at once have one key', async () => {
  const { load } = makeStore();
  const [one, other] = await Promise.all([load(), load()]);
  expect(one).toEqual(other);
});

it('a row that was altered, or holds something else, stops the start', async () => {
  const { rows, load, vault } = makeStore();
  await load();
  const row = rows.get(STATE_KEY) as { keyId: string; envelope: Buffer };
  const altered = Buffer.from(row.envelope);
  altered[altered.length - 1] = (altered.at(-1) as number) ^ 1;
  rows.set(STATE_KEY, { ...row, envelope: altered });
  await expect(load()).rejects.toMatchObject({ code: 'ERR_VAULT_KEY_WRONG' });
  rows.set(STATE_KEY, await vault.seal(STATE_KEY, Buffer.alloc(5)));
  await expect(load()).rejects.toMatchObject({ code: 'ERR_STORE_SCHEMA' });
});

it('who only looks makes none', async () => {
  const { rows, parts, load } = makeStore();
  expect(await loadStateKey(parts)).toBeUndefined();
  expect(rows.size).toBe(0);
  const made = await load();
  expect(await loadStateKey(parts)).toEqual(made);
});

it('it is read and opened once for all that need it, and again where that failed', async () => {
  const { rows, parts } = makeStore();
  let opened = 0;
  let isAway = true;
  const keep = keepStateKey({
    ...parts,
    repository: {
      ...parts.repository,
      async get(...asked) {
        opened += 1;
        if (isAway) throw new RemitError('ERR_STORE_UNREACHABLE', 'away');
        return await parts.repository.get(...asked);
      },
    },
  });
  await expect(Promise.all([keep(), keep()])).rejects.toMatchObject({ code: 'ERR_STORE_UNREACHABLE' });
  isAway = false;
  const [one, other] = await Promise.all([keep(), keep()]);
  expect(one).toBe(other);
  expect(await keep()).toBe(one);
  expect([opened, rows.size]).toEqual([2, 1]);
});

it('a node that is started with another vault key than the store’s seals nothing there: with the right one it starts', async () => {
  const {
    parts: { repository },
  } = makeStore();
  const secrets = createFakeMemorySecretRepository();
  const nodeWith = (key: Buffer, node: string) => {
    const system = { clock: () => 1, random: randomBytes, schedule: never };
    const vault = createVault({ repository: secrets, keys: ringOf(localKey(key)), tenant, ...system });
    const stateKey = keepStateKey({ tenant, repository, vault, ...system });
    return { vault, stateKey, estate: { tenant }, system, node } as unknown as Parameters<typeof openJournal>[0];
  };
  const right = randomBytes(32);
  const seal = () => {
    throw new Error('nothing is sealed here');
  };
  await assertKeyOfStore(nodeWith(right, 'n1'));
  const opening = openJournal(nodeWith(randomBytes(32), 'n2'), seal);
  await expect(opening).rejects.toMatchObject({ code: 'ERR_VAULT_KEY_WRONG' });
  expect(await nodeWith(right, 'n2').vault.list()).toEqual([]);
});
