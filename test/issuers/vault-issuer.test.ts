import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import type { VaultLogin } from '../../src/adapters/clouds/vault-client.ts';
import { createVaultIssuer, type VaultIssuerOptions } from '../../src/adapters/issuers/vault-issuer.ts';
import { createGuardedFetch } from '../../src/adapters/upstreams/guarded-fetch.ts';
import { Secret } from '../../src/domain/secret.ts';
import type { ActionClass } from '../../src/domain/tool.ts';
import type { Issuer } from '../../src/seams/issuer.ts';
import { issuerSuite, newLease, requestFor } from '../suites/issuer-suite.ts';
import { type FakeVault, startFakeVault } from '../support/fake-vault.ts';
import { createSigningGateway } from './signing-gateway.ts';

const SECRET_ID = 'canary-secret-id-8841';

function arrange(vault: FakeVault): void {
  vault.policies.set('remit', ['auth/token/', 'sys/leases/', 'database/creds/']);
  vault.policies.set('shop', ['database/creds/']);
  vault.databaseRoles.set('shop-read', 3600).set('shop-write', 3600).set('brief', 20).set('endless', 0);
  vault.approles.set('remit-role', { secretId: SECRET_ID, policies: ['remit', 'shop'], ttl: 7200 });
}

const approle = (secretId = SECRET_ID): VaultLogin => ({
  approle: { mount: 'approle', roleId: 'remit-role', secretId: async () => new Secret(secretId) },
});

function optionsFor(vault: FakeVault, more: Partial<VaultIssuerOptions> = {}): VaultIssuerOptions {
  const { fetch, close } = createGuardedFetch({ hostname: '127.0.0.1', allowPrivateNetwork: false });
  return {
    address: vault.url,
    namespace: vault.namespace,
    login: approle(),
    mount: 'database',
    rules: [
      { role: 'shop-read', classes: ['read', 'export'], resources: ['orders*'] },
      { role: 'shop-write', classes: ['read', 'write'] },
    ],
    discoveryRole: undefined,
    policies: ['shop'],
    revocation: 'immediate',
    fetch,
    clock: () => vault.now(),
    close,
    ...more,
  };
}

issuerSuite('vault', async () => {
  const vault = await startFakeVault({ namespace: 'team/shop' });
  arrange(vault);
  return {
    issuer: createVaultIssuer(optionsFor(vault)),
    other: () => createVaultIssuer(optionsFor(vault)),
    clock: Date.now,
    resources: ['orders'],
    actionClasses: ['read'],
    canUse: async ({ username, password }) => vault.admits(username?.reveal() ?? '', password?.reveal() ?? ''),
    // Its name at the downstream is the Vault's; the token that it hangs on has the tag.
    exists: undefined,
    broken: [
      createVaultIssuer(optionsFor(vault, { login: approle('canary-wrong-secret-id') })),
      createVaultIssuer(optionsFor(vault, { login: { token: async () => new Secret('canary-wrong-token') } })),
      createVaultIssuer(optionsFor(vault, { namespace: undefined })),
      createVaultIssuer(optionsFor(vault, { address: 'http://127.0.0.1:9' })),
      createVaultIssuer(optionsFor(vault, { mount: 'elsewhere' })),
    ],
    get secrets() {
      return [SECRET_ID, 'canary-wrong-secret-id', 'canary-wrong-token', ...vault.secrets];
    },
    stop: () => vault.close(),
  };
});

describe('the vault issuer', () => {
  let vault: FakeVault;
  const issuers: Issuer[] = [];

  beforeAll(async () => {
    vault = await startFakeVault();
    arrange(vault);
  });
  afterEach(async () => {
    vault.troubles.length = 0;
    vault.asked.length = 0;
    vault.refusesRevocation = false;
    vault.childToken = {};
    vault.now = Date.now;
    await Promise.all(issuers.splice(0).map((issuer) => issuer.close()));
  });
  afterAll(() => vault.close());

  function make(more: Partial<VaultIssuerOptions> = {}): Issuer {
    const issuer = createVaultIssuer(optionsFor(vault, more));
    issuers.push(issuer);
    return issuer;
  }

  async function issue(issuer: Issuer, resources: string[], actionClasses: ActionClass[], ms = 5_000) {
    const lease = newLease(issuer, vault.now());
    const request = { ...requestFor(lease, AbortSignal.timeout(ms)), resources, actionClasses };
    return { lease, issued: await issuer.issue(request) };
  }

  it('takes the first role that has all of the task’s classes and resources', async () => {
    const issuer = make();
    expect((await issue(issuer, ['orders'], ['read'])).issued.scope).toBe('role shop-read of database');
    expect((await issue(issuer, ['customers'], ['read'])).issued.scope).toBe('role shop-write of database');
    expect((await issue(issuer, ['orders'], ['write'])).issued.scope).toBe('role shop-write of database');
    await expect(issue(issuer, ['orders'], ['export', 'write'])).rejects.toMatchObject({
      code: 'ERR_CREDENTIAL_ISSUE',
    });
    await expect(issue(issuer, ['orders'], ['code'])).rejects.toThrow('come to nothing');
  });

  it('opens nothing for the gateway’s own listing, unless its owner names a role for it', async () => {
    await expect(issue(make(), [], [])).rejects.toMatchObject({ hint: expect.stringContaining('discoveryRole') });
    expect((await issue(make({ discoveryRole: 'shop-read' }), [], [])).issued.scope).toBe('role shop-read of database');
  });

  it('L3 ends with its lease although the engine’s role lasts an hour, and nothing comes back to revoke it', async () => {
    const { lease, issued } = await issue(make(), ['orders'], ['read']);
    const { username, password } = issued.fields;
    expect(issued.nativeExpiresAt).toBeLessThanOrEqual(lease.expiresAt);
    expect(vault.admits(username?.reveal() ?? '', password?.reveal() ?? '')).toBe(true);
    vault.now = () => lease.expiresAt + 1_000;
    expect(vault.admits(username?.reveal() ?? '', password?.reveal() ?? '')).toBe(false);
  });

  it('L5 leaves nothing beyond the lease’s end where the answer with the lease’s id was lost', async () => {
    vault.troubles.push({ at: /database\/creds/, how: 'lose' });
    vault.troubles.push({ at: /revoke-accessor/, how: 503 });
    const before = vault.liveLeases().length;
    const issuer = make();
    expect(issuer.needsHandle).toBe(true);
    const lease = newLease(issuer, vault.now());
    const request = {
      ...requestFor(lease, AbortSignal.timeout(5_000)),
      resources: ['orders'],
      actionClasses: ['read'] as const,
    };
    await expect(issuer.issue(request)).rejects.toMatchObject({ code: 'ERR_CREDENTIAL_ISSUE' });
    expect(vault.liveLeases().length).toBe(before + 1);
    vault.now = () => lease.expiresAt + 1_000;
    expect(vault.liveLeases()).toEqual([]);
  });

  it('gives back at once what it could not take', async () => {
    const before = vault.liveLeases().length;
    vault.troubles.push({ at: /database\/creds/, how: 'lose' });
    await expect(issue(make(), ['orders'], ['read'])).rejects.toMatchObject({ code: 'ERR_CREDENTIAL_ISSUE' });
    expect(vault.liveLeases().length).toBe(before);
  });

  it('reads with a token that has the named policies alone, and that nobody can renew', async () => {
    const { lease } = await issue(make(), ['orders'], ['read']);
    const child = vault.liveTokens().find(({ meta }) => meta.remit_lease === lease.tag);
    expect(child).toMatchObject({ policies: ['shop'], meta: { remit_task: lease.task } });
    await expect(issue(make({ policies: ['admin'] }), ['orders'], ['read'])).rejects.toThrow('subset of parent');
  });

  it.each([
    ['a token that does not end', { lease_duration: 0 }],
    ['a token that ends later than asked', { lease_duration: 90_000 }],
  ])('refuses %s, and gives it back', async (_, told) => {
    vault.childToken = told;
    const before = vault.liveTokens().length;
    const issuer = make();
    await expect(issue(issuer, ['orders'], ['read'])).rejects.toThrow('was asked for');
    // Its own login is what is left.
    expect(vault.liveTokens().length).toBe(before + 1);
  });

  it('refuses a role whose credentials end long before their lease', async () => {
    const issuer = make({ rules: [{ role: 'brief', classes: ['read'] }] });
    await expect(issue(issuer, [], ['read'])).rejects.toMatchObject({ hint: expect.stringContaining('default_ttl') });
  });

  it('logs in once for many, and again when its token has ended or was revoked', async () => {
    const issuer = make();
    await Promise.all(Array.from({ length: 6 }, () => issue(issuer, ['orders'], ['read'])));
    const logins = () => vault.asked.filter((line) => line.endsWith('/login')).length;
    expect(logins()).toBe(1);
    const own = vault.liveTokens().find(({ parent, policies }) => parent === undefined && policies.includes('remit'));
    vault.revokeToken(own?.id ?? '');
    for (const { id, parent } of vault.liveTokens())
      if (parent === undefined && id !== vault.rootToken) vault.revokeToken(id);
    await issue(issuer, ['orders'], ['read']);
    expect(logins()).toBe(2);
    const later = Date.now() + 7_190_000;
    vault.now = () => later;
    await issue(issuer, ['orders'], ['read']);
    expect(logins()).toBe(3);
  });

  it('refuses where its own token ends before the lease does', async () => {
    vault.approles.set('short', { secretId: SECRET_ID, policies: ['remit', 'shop'], ttl: 30 });
    const login = { approle: { mount: 'approle', roleId: 'short', secretId: async () => new Secret(SECRET_ID) } };
    await expect(issue(make({ login }), ['orders'], ['read'])).rejects.toThrow('own token lives');
  });

  it('logs in with a JWT that the gateway signs', async () => {
    const gateway = await createSigningGateway();
    const role = { issuer: gateway.url, keys: gateway.keys, policies: ['remit', 'shop'], ttl: 7200 };
    vault.jwtRoles.set('remit', { ...role, audience: 'vault' });
    const login = (audience: string): VaultLogin => {
      const iat = Math.floor(Date.now() / 1000);
      const claims = { sub: 'remit-gateway', aud: audience, iat, exp: iat + 60, jti: 'one' };
      return { jwt: { mount: 'jwt', role: 'remit', assertion: () => gateway.sign(claims, 'JWT') } };
    };
    expect((await issue(make({ login: login('vault') }), ['orders'], ['read'])).issued.scope).toContain('shop-read');
    await expect(issue(make({ login: login('another') }), ['orders'], ['read'])).rejects.toThrow('audience');
  });

  it('goes by a token of the vault, and says when that may not make others', async () => {
    const root = make({ login: { token: async () => new Secret(vault.rootToken) } });
    expect((await issue(root, ['orders'], ['read'])).issued.scope).toContain('shop-read');
    vault.approles.set('poor', { secretId: SECRET_ID, policies: ['shop'], ttl: 7200 });
    const login = { approle: { mount: 'approle', roleId: 'poor', secretId: async () => new Secret(SECRET_ID) } };
    await expect(issue(make({ login }), ['orders'], ['read'])).rejects.toMatchObject({
      message: expect.stringContaining('permission denied'),
      hint: expect.stringContaining('auth/token/create'),
    });
  });

  it.each(['garble', 'huge', 500, 'lose'] as const)('fails closed where an answer is %s', async (how) => {
    for (const at of [/login/, /token\/create/, /creds/]) {
      vault.troubles.push({ at, how, times: 1 });
      await expect(issue(make(), ['orders'], ['read'])).rejects.toMatchObject({ code: 'ERR_CREDENTIAL_ISSUE' });
      vault.troubles.length = 0;
    }
  });

  it('ends with its deadline where nothing is answered', async () => {
    vault.troubles.push({ at: /creds/, how: 'hang' });
    await expect(issue(make(), ['orders'], ['read'], 200)).rejects.toThrow('not done before the issue deadline');
  });

  it.each([
    ['the engine cannot', () => void Object.assign(vault, { refusesRevocation: true }), 'the database is away'],
    ['it answers 404 as a proxy does', () => void vault.troubles.push({ at: /leases\/revoke/, how: 404 }), '404'],
    ['nothing is answered', () => void vault.troubles.push({ at: /leases\/revoke/, how: 'hang' }), 'not done within'],
    ['the lease is still there', () => void vault.troubles.push({ at: /leases\/lookup/, how: 'garble' }), 'JSON'],
  ])('L4 does not say that it revoked where %s', async (_, arrangeTrouble, text) => {
    const issuer = make({ revokeWithinMs: 300 });
    const { lease, issued } = await issue(issuer, ['orders'], ['read']);
    arrangeTrouble();
    await expect(issuer.revoke(lease, issued.handle)).rejects.toMatchObject({
      code: 'ERR_CREDENTIAL_REVOKE',
      message: expect.stringContaining(text),
    });
  });

  it('L7 does not end sessions that are open, unless its owner says that the engine does', () => {
    expect(make({ revocation: 'next_use' }).revocation).toBe('next_use');
  });

  it('takes plain http on loopback only', () => {
    expect(() => make({ address: 'http://vault.example.com' })).toThrow('is not reached over https');
  });
});
