import { randomBytes } from 'node:crypto';
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { keepStateKey } from '../../src/compose/credentials/state-key.ts';
import { loadSourced, policiesNow, readInForce } from '../../src/compose/policies/read-in-force.ts';
import { createSealedPolicies, digestOf } from '../../src/compose/policies/sealed-policies.ts';
import { RemitError } from '../../src/domain/errors.ts';
import { createVault } from '../../src/secrets/vault.ts';
import { createFakeMemorySecretRepository } from '../support/fake-memory-secret-repository.ts';
import { localKey, never, ringOf } from '../support/key-rings.ts';
import { makePolicyFolder, type PolicyFolder, testEstate } from './policy-folder.ts';

const OPEN = '@id("open")\npermit (principal, action, resource);\n';
const CLOSED = '@id("closed")\nforbid (principal, action, resource);\n';
const CASES = 'cases: []\n';
const estate = testEstate();
const { tenant } = estate;
const clock = () => 1;

let place: PolicyFolder;
beforeEach(async () => {
  place = await makePolicyFolder({ 'all.cedar': OPEN, 'all.cases.yaml': CASES });
});
afterEach(() => place.remove());

/** A store of several gateways, and a host that looks at it. */
function makeShared(keyBytes = randomBytes(32)) {
  const keys = new Map<string, { keyId: string; envelope: Buffer }>();
  const rows: { position: number; digest: string; sealed: string | undefined }[] = [];
  let duringRead = (): void => {};
  const repository = {
    get: async (_tenant: unknown, task: string) => keys.get(task),
    insert: async ({ task, ...row }: { task: string; keyId: string; envelope: Buffer }) => void keys.set(task, row),
    erase: async () => false,
  };
  const vaultOf = (bytes: Buffer) =>
    createVault({
      ...{ repository: createFakeMemorySecretRepository(), keys: ringOf(localKey(bytes)) },
      ...{ tenant, clock, schedule: never, random: randomBytes },
    });
  const policies = {
    newest: async () => rows.at(-1),
    async read(_tenant: unknown, position: number) {
      duringRead();
      return rows.find((row) => row.position === position)?.sealed;
    },
  };
  const look = (vault = vaultOf(keyBytes)) =>
    readInForce({
      ...{ node: 'nb', estate, vault, places: { policies: place.folder } },
      store: { shared: { policies }, taskKeys: repository },
      system: { clock, random: randomBytes },
    } as never);
  return {
    rows,
    keys,
    vaultOf,
    look,
    meanwhile: (what: () => void) => {
      duringRead = what;
    },
    /** As a node puts them in force. */
    async publish(files: Readonly<Record<string, string>>): Promise<void> {
      const parts = { tenant, clock, random: randomBytes };
      const stateKey = await keepStateKey({ ...parts, repository: repository as never, vault: vaultOf(keyBytes) })();
      const texts = Object.entries(files).map(([name, text]) => ({ name, path: name, text }));
      const position = rows.length + 1;
      const sealed = createSealedPolicies({ ...parts, stateKey }, 'na').seal(position, { texts, by: 'dana' });
      for (const row of rows) row.sealed = undefined;
      rows.push({ position, digest: digestOf(texts), sealed });
    },
  };
}

it('is what the store has where gateways share it, whatever lies in the folder here', async () => {
  const shared = makeShared();
  await shared.publish({ 'all.cedar': OPEN });
  await shared.publish({ 'all.cedar': CLOSED, 'all.cases.yaml': CASES });
  const { source, texts } = await shared.look();
  expect(source).toEqual({ from: 'store', folder: place.folder, by: 'dana, at node na', folderHolds: 'others' });
  expect(texts.map(({ name, text }) => [name, text])).toEqual([
    ['all.cedar', CLOSED],
    ['all.cases.yaml', CASES],
  ]);
  expect(loadSourced({ source, texts }, estate).policies.map(({ id, file }) => [id, file])).toEqual([
    ['closed', 'all.cedar'],
  ]);
});

it('points into the folder where that holds the same, and reads what is in force where there is no folder', async () => {
  const shared = makeShared();
  await shared.publish({ 'all.cedar': OPEN });
  const same = await shared.look();
  expect(same.source.folderHolds).toBe('the same');
  expect(same.texts.map(({ path }) => join(process.cwd(), path))).toEqual([join(place.folder, 'all.cedar')]);
  await rm(place.folder, { recursive: true });
  const alone = await shared.look();
  expect(alone.source.folderHolds).toBe('nothing that can be read');
  expect(policiesNow(alone, estate)).toMatchObject({ version: policiesNow(same, estate).version });
});

it('before the first gateway it is what the first will read, and no key is made', async () => {
  const shared = makeShared();
  const { source, texts } = await shared.look();
  expect(source).toEqual({ from: 'folder', folder: place.folder, isBeforeFirst: true });
  expect(texts).toHaveLength(2);
  expect(shared.keys.size).toBe(0);
});

it('is read again where it is replaced meanwhile', async () => {
  const shared = makeShared();
  await shared.publish({ 'all.cedar': OPEN });
  let isFirst = true;
  const row = { ...(shared.rows[0] as (typeof shared.rows)[0]) };
  shared.meanwhile(() => {
    if (isFirst) shared.rows[0] = { ...row, sealed: undefined };
    else shared.rows[0] = row;
    isFirst = false;
  });
  expect((await shared.look()).source.from).toBe('store');
});

it('the folder never stands in for what the store has and does not open: altered, moved, without its key, under another vault key', async () => {
  const shared = makeShared();
  await shared.publish({ 'all.cedar': CLOSED });
  const [row] = shared.rows;
  if (row === undefined) expect.unreachable();
  const notOurs = { code: 'ERR_STORE_SCHEMA', hint: expect.stringContaining('another vault key') };

  shared.rows[0] = { ...row, digest: digestOf([{ name: 'all.cedar', path: '', text: OPEN }]) };
  await expect(shared.look()).rejects.toMatchObject(notOurs);
  shared.rows[0] = { ...row, position: 2 };
  await expect(shared.look()).rejects.toMatchObject(notOurs);
  shared.rows[0] = { ...row, sealed: undefined };
  await expect(shared.look()).rejects.toMatchObject(notOurs);
  shared.rows[0] = row;
  await expect(shared.look(shared.vaultOf(randomBytes(32)))).rejects.toMatchObject({ code: 'ERR_VAULT_KEY_WRONG' });
  const all = new Map(shared.keys);
  shared.keys.clear();
  await expect(shared.look()).rejects.toMatchObject(notOurs);
  expect(shared.keys.size).toBe(0);
  for (const [name, key] of all) shared.keys.set(name, key);
  expect((await shared.look()).source.from).toBe('store');
});

it('policies that this host cannot validate are named as those in force, with what to do', async () => {
  const shared = makeShared();
  await shared.publish({
    'all.cedar': '@id("u")\npermit (principal, action == Remit::Action::"shop/nothing", resource);\n',
  });
  const sourced = await shared.look();
  const fault = (): unknown => {
    try {
      return loadSourced(sourced, estate);
    } catch (error) {
      return error;
    }
  };
  expect(fault()).toBeInstanceOf(RemitError);
  expect(fault()).toMatchObject({
    code: 'ERR_POLICY_INVALID',
    message: expect.stringContaining('in force at the nodes of the store are not valid under this remit.yaml'),
    where: expect.stringMatching(/^all\.cedar:/),
    hint: 'Bring the remit.yaml of the other nodes here.',
  });
});
