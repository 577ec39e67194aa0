import { generateKeyPairSync } from 'node:crypto';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { createGithubAppIssuer, type GithubAppIssuerOptions } from '../../src/adapters/issuers/github-app-issuer.ts';
import { createGuardedFetch } from '../../src/adapters/upstreams/guarded-fetch.ts';
import { Secret } from '../../src/domain/secret.ts';
import type { Issuer } from '../../src/seams/issuer.ts';
import { issuerSuite, newLease, requestFor } from '../suites/issuer-suite.ts';
import { type FakeGithub, startFakeGithub } from '../support/fake-github.ts';

const PERMISSIONS = {
  read: { contents: 'read', issues: 'read' },
  write: { contents: 'write', pull_requests: 'write' },
} as const;

interface World {
  readonly github: FakeGithub;
  options(changes?: Partial<GithubAppIssuerOptions>): GithubAppIssuerOptions;
  close(): Promise<void>;
}

async function startWorld(): Promise<World> {
  const github = await startFakeGithub();
  const guarded = createGuardedFetch({ hostname: '127.0.0.1', allowPrivateNetwork: false });
  return {
    github,
    options: (changes = {}) => ({
      api: github.url,
      appId: github.appId,
      installationId: github.installationId,
      account: 'shop',
      permissions: PERMISSIONS,
      privateKey: async () => new Secret(github.privateKey),
      fetch: guarded.fetch,
      clock: () => github.now(),
      close: async () => {},
      ...changes,
    }),
    close: async () => {
      await guarded.close();
      await github.close();
    },
  };
}

const pem = (type: 'rsa' | 'ec'): string =>
  type === 'rsa'
    ? generateKeyPairSync('rsa', { modulusLength: 2048 }).privateKey.export({ type: 'pkcs8', format: 'pem' }).toString()
    : generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey.export({ type: 'pkcs8', format: 'pem' }).toString();

issuerSuite('github-app', async () => {
  const { github, options, close } = await startWorld();
  const make = (changes: Partial<GithubAppIssuerOptions> = {}) => createGithubAppIssuer(options(changes));
  const wrong = pem('rsa');
  return {
    issuer: make(),
    other: () => make(),
    clock: Date.now,
    resources: ['shop/api'],
    actionClasses: ['read'],
    canUse: async ({ token }) => github.opens(token?.reveal() ?? '') !== undefined,
    exists: undefined,
    broken: [
      make({ privateKey: async () => new Secret(wrong) }),
      make({ privateKey: async () => new Secret('canary-no-key-771') }),
      make({ privateKey: async () => new Secret(pem('ec')) }),
      make({ appId: '1' }),
      make({ installationId: 1 }),
      make({ api: 'http://127.0.0.1:1' }),
      make({ permissions: {} }),
      make({ permissions: { read: { actions: 'read' } } }),
    ],
    secrets: [github.privateKey, wrong, 'canary-no-key-771'],
    stop: close,
  };
});

describe('a leased installation token of a GitHub App', () => {
  let world: World;
  let github: FakeGithub;
  let issuer: Issuer;
  beforeAll(async () => {
    world = await startWorld();
    ({ github } = world);
    issuer = createGithubAppIssuer(world.options());
  });
  afterEach(() => {
    github.misdeed = {};
    github.limit = undefined;
    github.isSuspended = false;
    github.now = Date.now;
    github.troubles.length = 0;
    github.asked.length = 0;
    github.granted.length = 0;
    issuer = createGithubAppIssuer(world.options());
  });
  afterAll(() => world.close());

  const ask = (more: object = {}, of: Issuer = issuer) => {
    const lease = newLease(of, github.now());
    const request = requestFor(lease, AbortSignal.timeout(10_000));
    return { lease, issued: of.issue({ ...request, resources: ['shop/api'], actionClasses: ['read'], ...more }) };
  };
  const refusal = (message: string) => ({
    code: 'ERR_CREDENTIAL_ISSUE',
    message: expect.stringContaining(message),
    hint: expect.stringMatching(/.+/),
  });

  it('is for the repositories and permissions of its task, and no more', async () => {
    const { fields, scope } = await ask({ resources: ['shop/web', 'Shop/API/*'], actionClasses: ['read', 'write'] })
      .issued;
    expect(github.granted).toEqual([
      { repositories: ['api', 'web'], permissions: { contents: 'write', issues: 'read', pull_requests: 'write' } },
    ]);
    expect(scope).toBe('contents:write issues:read pull_requests:write on shop/api, shop/web');
    expect(github.opens(fields.token?.reveal() ?? '')).toMatchObject({ repositories: ['api', 'web'] });
  });

  it('is for all repositories only where the task is', async () => {
    const { scope } = await ask({ resources: ['shop/api', 'shop/*'] }).issued;
    expect(github.granted).toEqual([{ permissions: PERMISSIONS.read }]);
    expect(scope).toContain('all of shop');
  });

  it('for the gateway’s own listing reads metadata alone', async () => {
    await ask({ resources: [], actionClasses: [] }).issued;
    expect(github.granted).toEqual([{ permissions: { metadata: 'read' } }]);
  });

  it.each([
    [{ resources: ['other/api'] }, 'installed for shop'],
    [{ resources: ['api'] }, 'installed for shop'],
    [{ resources: ['*'] }, 'installed for shop'],
    [{ resources: ['shop/ap*'] }, 'whole repositories'],
    [{ resources: ['shop/api/issues/7'] }, 'whole repositories'],
    [{ resources: ['shop/api', 'shop/'] }, 'whole repositories'],
    [{ resources: ['shop/..%2f'] }, 'whole repositories'],
    [{ resources: [] }, 'names 0 repositories'],
    [{ resources: Array.from({ length: 501 }, (_, index) => `shop/r${index}`) }, 'names 501 repositories'],
    [{ actionClasses: ['code' as const] }, 'come to no permission'],
    [{ actionClasses: [] }, 'come to no permission'],
  ])('is not asked for, and never for more, with %j', async (more, message) => {
    await expect(ask(more).issued).rejects.toMatchObject(refusal(message));
    expect(github.asked).toEqual([]);
  });

  it('is asked for as the app itself, by a JWT of a few minutes that is dated back', async () => {
    github.claims.length = 0;
    const before = Math.floor(Date.now() / 1000);
    await ask().issued;
    const [claims] = github.claims as { iss: string; iat: number; exp: number }[];
    expect(claims?.iss).toBe(github.appId);
    expect(claims?.iat).toBeLessThanOrEqual(before - 59);
    expect((claims?.exp ?? 0) - (claims?.iat ?? 0)).toBeLessThanOrEqual(600);
    const newer = pem('rsa');
    const other = createGithubAppIssuer(world.options({ privateKey: async () => new Secret(newer) }));
    await expect(ask({}, other).issued).rejects.toMatchObject(refusal('could not be decoded'));
  });

  it.each([
    ['a clock that is too far behind', -600_000],
    ['a clock that is too far ahead', 600_000],
  ])('is not had with %s, and the hint says what to look at', async (_name, ms) => {
    const other = createGithubAppIssuer(world.options({ clock: () => Date.now() + ms }));
    const { issued } = ask({ expiresAt: Date.now() + 7_200_000 }, other);
    await expect(issued).rejects.toMatchObject({ hint: expect.stringContaining('clock') });
  });

  it('L3 ends after an hour whatever its lease asks, and says so', async () => {
    const before = Date.now();
    const { issued } = ask();
    const { nativeExpiresAt } = await issued;
    expect(issuer.minTtlSeconds).toBe(3_600);
    expect(nativeExpiresAt).toBeGreaterThan(before + 3_590_000);
    expect(nativeExpiresAt).toBeLessThanOrEqual(Date.now() + 3_600_000);
    const { fields } = await ask().issued;
    github.now = () => Date.now() + 3_601_000;
    expect(github.opens(fields.token?.reveal() ?? '')).toBeUndefined();
  });

  it('L4 is revoked by its handle; gone is as good, and it is the token that is asked about', async () => {
    const { lease, issued } = ask();
    const { handle, fields } = await issued;
    await issuer.revoke(lease, undefined);
    expect(github.opens(fields.token?.reveal() ?? '')).toBeDefined();
    await issuer.revoke(lease, handle);
    expect(github.opens(fields.token?.reveal() ?? '')).toBeUndefined();
    await issuer.revoke(lease, handle);
    expect(github.asked.filter((line) => line === 'DELETE /installation/token')).toHaveLength(2);
  });

  it.each<[string, object]>([
    [
      'a permission more',
      { permissions: { metadata: 'read', contents: 'read', issues: 'read', administration: 'read' } },
    ],
    ['a level more', { permissions: { metadata: 'read', contents: 'write', issues: 'read' } }],
    ['an unknown level', { permissions: { contents: 'owner' } }],
    ['no word on permissions', { permissions: undefined }],
    ['another repository', { repositories: [{ name: 'api' }, { name: 'web' }] }],
    ['all repositories', { repository_selection: 'all' }],
    ['no word on repositories', { repositories: undefined }],
    ['a longer life', { expires_at: new Date(Date.now() + 7_200_000).toISOString() }],
    ['no end', { expires_at: 'soon' }],
    ['no end at all', { expires_at: undefined }],
  ])('is refused, and revoked, where GitHub gives %s', async (_name, misdeed) => {
    github.misdeed = misdeed as Record<string, unknown>;
    const live = github.liveTokens();
    await expect(ask().issued).rejects.toMatchObject({ code: 'ERR_CREDENTIAL_ISSUE' });
    expect(github.liveTokens()).toBe(live);
    expect(github.granted).toHaveLength(1);
  });

  it.each([
    ['an installation that is suspended', () => Object.assign(github, { isSuspended: true }), 'suspended'],
    ['a repository that it is not on', () => {}, 'does not exist or is not accessible'],
    ['a server that fails', () => void github.troubles.push({ at: /^POST/, how: 502 }), '502'],
    ['an answer that is none', () => void github.troubles.push({ at: /^POST/, how: 'garble' }), 'something else'],
    ['an answer that is far too large', () => void github.troubles.push({ at: /^POST/, how: 'huge' }), 'larger than'],
  ])('is not to be had of %s', async (name, prepare, message) => {
    prepare();
    const resources = name.startsWith('a repository') ? ['shop/secret'] : ['shop/api'];
    const error = await ask({ resources }).issued.catch((caught: unknown) => caught);
    expect(error).toMatchObject({ message: expect.stringContaining(message) });
  });

  it('is given up at the deadline where GitHub hangs', async () => {
    github.troubles.push({ at: /^POST/, how: 'hang' });
    const { issued } = ask({ signal: AbortSignal.timeout(150) });
    await expect(issued).rejects.toMatchObject(refusal('not done before the issue deadline'));
  });

  it('L7 lapses where its answer was lost: it is made, nobody knows it, and nothing says that it was revoked', async () => {
    github.troubles.push({ at: /^POST/, how: 'lose' });
    const live = github.liveTokens();
    const { lease, issued } = ask();
    await expect(issued).rejects.toMatchObject({ code: 'ERR_CREDENTIAL_ISSUE' });
    expect(github.liveTokens()).toBe(live + 1);
    await issuer.revoke(lease, undefined);
    expect(github.liveTokens()).toBe(live + 1);
    expect(issuer.needsHandle).toBe(true);
  });

  it('is revoked where it came too late', async () => {
    const abort = new AbortController();
    const late = createGithubAppIssuer(
      world.options({
        fetch: async (address, init) => {
          const response = await world.options().fetch(address, { ...init, signal: AbortSignal.timeout(5_000) });
          if (init.method === 'POST') abort.abort();
          return response;
        },
      }),
    );
    const live = github.liveTokens();
    await expect(ask({ signal: abort.signal }, late).issued).rejects.toMatchObject({ code: 'ERR_CREDENTIAL_ISSUE' });
    expect(github.granted).toHaveLength(1);
    expect(github.liveTokens()).toBe(live);
  });

  it.each([
    ['a secondary limit', 403 as const, { 'retry-after': '90' }, 90],
    ['a primary limit', 429 as const, { 'x-ratelimit-remaining': '0', 'x-ratelimit-reset': 'RESET' }, 120],
  ])('leaves GitHub alone for as long as it asks: %s', async (_name, status, headers, seconds) => {
    let now = Math.floor(Date.now() / 1000) * 1000;
    github.now = () => now;
    const reset = String(now / 1000 + seconds);
    const told = Object.entries(headers).map(([name, value]) => [name, value.replace('RESET', reset)]);
    github.limit = { status, headers: Object.fromEntries(told) as Record<string, string> };
    const held = ask({}, issuer);
    await expect(held.issued).rejects.toMatchObject(refusal('rate limit'));
    github.limit = undefined;
    now += (seconds - 1) * 1000;
    const before = github.asked.length;
    await expect(ask().issued).rejects.toMatchObject(refusal('left alone for 1 s more'));
    expect(github.asked.length).toBe(before);
    now += 1_000;
    await expect(ask().issued).resolves.toBeDefined();
  });

  it('L4 holds no revoke back for a rate limit', async () => {
    const { lease, issued } = ask();
    const { handle } = await issued;
    github.limit = { status: 403, headers: { 'retry-after': '90' } };
    await expect(ask().issued).rejects.toMatchObject({ code: 'ERR_CREDENTIAL_ISSUE' });
    const live = github.liveTokens();
    await issuer.revoke(lease, handle);
    expect(github.liveTokens()).toBe(live - 1);
  });

  it.each<[string, FakeGithub['troubles'][number]]>([
    ['fails', { at: /^DELETE/, how: 503 }],
    ['limits', { at: /^DELETE/, how: 403 }],
    ['hangs', { at: /^DELETE/, how: 'hang' }],
  ])('L4 is not taken for revoked where GitHub %s; it is over when its hour is', async (_name, trouble) => {
    const quick = createGithubAppIssuer(world.options({ revokeWithinMs: 150 }));
    const { lease, issued } = ask({}, quick);
    const { handle, nativeExpiresAt } = await issued;
    github.troubles.push(trouble);
    await expect(quick.revoke({ ...lease, nativeExpiresAt }, handle)).rejects.toMatchObject({
      code: 'ERR_CREDENTIAL_REVOKE',
    });
    await expect(quick.revoke({ ...lease, nativeExpiresAt: Date.now() - 1 }, handle)).resolves.toBeUndefined();
  });

  it('is never asked for over plain http but on loopback', () => {
    expect(() => createGithubAppIssuer(world.options({ api: 'http://github.example.com' }))).toThrow(/https/);
  });
});
