import { randomBytes } from 'node:crypto';
import { expect, it } from 'vitest';
import { assertNoneShared, findSharedSecrets } from '../../src/compose/credentials/shared-secrets.ts';
import { storeSecret } from '../../src/compose/credentials/store-secret.ts';
import type { Workspace } from '../../src/compose/workspace.ts';
import { type TenantId, tenantId } from '../../src/domain/ids.ts';
import { Secret } from '../../src/domain/secret.ts';
import { createVault } from '../../src/secrets/vault.ts';
import { createFakeMemorySecretRepository } from '../support/fake-memory-secret-repository.ts';
import { localKey, never, ringOf } from '../support/key-rings.ts';

const repository = createFakeMemorySecretRepository();
const keys = ringOf(localKey(randomBytes(32)));

/** What storing a secret needs of a workspace: two tenants of one store and one vault key. */
function workspaceOf(tenant: TenantId, acrossTenants = false): Workspace {
  const vault = createVault({ repository, keys, tenant, clock: () => 1, schedule: never, random: randomBytes });
  const exception = { secrets: ['theirs'], connectors: [], acrossTenants, owner: 'erin', reason: 'r' };
  return {
    vault,
    store: { secrets: repository, leases: { list: async () => [] } },
    estate: { tenant, connectors: new Map() },
    config: { sharedSecrets: acrossTenants ? [{ ...exception, expires: '2099-01-01T00:00:00Z' }] : [] },
    system: { clock: () => 1 },
  } as unknown as Workspace;
}

const changes: object[] = [];
const put = (workspace: Workspace, name: string, secret: string) =>
  storeSecret(workspace, 'secret_put', name, new Secret(secret), async (change) => void changes.push(change));

const mine = workspaceOf(tenantId('mine'));
const rival = workspaceOf(tenantId('rival'));

it('R56 a secret that another tenant has is refused, and nothing is told of that tenant', async () => {
  await put(mine, 'crm_token', 'the secret');
  const failure = await put(rival, 'theirs', 'the secret').catch((error: unknown) => error as Error);
  expect(failure).toMatchObject({ code: 'ERR_SECRET_SHARED', where: 'theirs' });
  expect(JSON.stringify([failure, String(failure), changes.at(-1)])).not.toMatch(/crm_token|mine|the secret/);
  expect(changes.at(-1)).toEqual({ action: 'secret_refused', name: 'theirs', sameAs: [], elsewhere: 1 });
  expect(await rival.vault.list()).toEqual([]);
});

it('R56 an exception that names the other tenants allows it, and it is found all the same', async () => {
  const excepted = workspaceOf(tenantId('rival'), true);
  await put(excepted, 'theirs', 'the secret');
  expect(await findSharedSecrets(excepted)).toMatchObject([{ secrets: ['theirs'], elsewhere: 1 }]);
  await assertNoneShared(excepted);
});

it('a secret from before there were fingerprints gets its own, and is compared from then on', async () => {
  await mine.vault.put('old', new Secret('an old one'));
  await put(mine, 'again', 'an old one');
  const found = await findSharedSecrets(mine);
  expect(found.map(({ secrets }) => [...secrets].sort())).toContainEqual(['again', 'old']);
});

it('stores nothing that cannot be put on the trail first', async () => {
  const refuse = () => Promise.reject(new Error('the journal is full'));
  await expect(storeSecret(mine, 'secret_put', 'new', new Secret('x'), refuse)).rejects.toThrow('full');
  await expect(mine.vault.get('new')).rejects.toMatchObject({ code: 'ERR_SECRET_MISSING' });
});

it('fingerprints are keyed: the same secret has another one in another store', async () => {
  const elsewhere = createVault({
    repository: createFakeMemorySecretRepository(),
    keys,
    tenant: tenantId('mine'),
    clock: () => 1,
    schedule: never,
    random: randomBytes,
  });
  const secret = new Secret('the secret');
  const [one, other] = [await mine.vault.fingerprint(secret), await elsewhere.fingerprint(secret)];
  expect(one).toMatch(/^[0-9a-f]{64}$/);
  expect(other).not.toBe(one);
  expect(await mine.vault.fingerprint(secret)).toBe(one);
});
