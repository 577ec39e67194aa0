import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { createKubernetesIssuer, type KubernetesIssuerOptions } from '../../src/adapters/issuers/kubernetes-issuer.ts';
import { createGuardedFetch } from '../../src/adapters/upstreams/guarded-fetch.ts';
import { Secret } from '../../src/domain/secret.ts';
import type { ActionClass } from '../../src/domain/tool.ts';
import type { IssuedCredential, Issuer } from '../../src/seams/issuer.ts';
import { issuerSuite, newLease, requestFor } from '../suites/issuer-suite.ts';
import { type FakeKubernetes, startFakeKubernetes } from '../support/fake-kubernetes.ts';

const OWN = 'https://kubernetes.default.svc';
const WRONG = 'canary-wrong-kube-token';

function optionsFor(kube: FakeKubernetes, more: Partial<KubernetesIssuerOptions> = {}): KubernetesIssuerOptions {
  const { fetch, close } = createGuardedFetch({ hostname: '127.0.0.1', allowPrivateNetwork: false });
  return {
    server: kube.url,
    namespace: kube.namespace,
    token: async () => new Secret(kube.token),
    rules: [
      { serviceAccount: 'viewer', classes: ['read'] },
      { serviceAccount: 'deployer', classes: ['read', 'write'], resources: ['deployments/*'] },
    ],
    discoveryServiceAccount: undefined,
    audiences: [],
    isReviewed: false,
    fetch,
    clock: () => kube.now(),
    close,
    ...more,
  };
}

async function start(): Promise<FakeKubernetes> {
  const kube = await startFakeKubernetes();
  for (const name of ['viewer', 'deployer', 'nobody']) kube.serviceAccounts.add(name);
  return kube;
}

const nameOf = (tag: string): string => tag.replace('_', '-');

for (const [name, more, audience, isOffline] of [
  ['kubernetes', {}, OWN, false],
  [
    'kubernetes, for an audience that verifies signatures alone',
    { audiences: ['https://mcp.example.com'] },
    'https://mcp.example.com',
    true,
  ],
] as const) {
  issuerSuite(name, async () => {
    const kube = await start();
    return {
      issuer: createKubernetesIssuer(optionsFor(kube, more)),
      other: () => createKubernetesIssuer(optionsFor(kube, more)),
      clock: Date.now,
      resources: ['deployments/shop'],
      actionClasses: ['read'],
      canUse: async ({ token }) => kube.admits(token?.reveal() ?? '', audience, isOffline),
      exists: async (tag) => kube.secrets.has(nameOf(tag)),
      broken: [
        createKubernetesIssuer(optionsFor(kube, { token: async () => new Secret(WRONG) })),
        createKubernetesIssuer(optionsFor(kube, { server: 'http://127.0.0.1:9' })),
        createKubernetesIssuer(optionsFor(kube, { namespace: 'elsewhere' })),
        createKubernetesIssuer(optionsFor(kube, { rules: [{ serviceAccount: 'missing', classes: ['read'] }] })),
      ],
      secrets: [kube.token, WRONG],
      stop: () => kube.close(),
    };
  });
}

describe('the kubernetes issuer', () => {
  let kube: FakeKubernetes;
  const issuers: Issuer[] = [];

  beforeAll(async () => {
    kube = await start();
  });
  afterEach(async () => {
    kube.troubles.length = 0;
    Object.assign(kube, { now: Date.now, moreSeconds: 0, holdsSecrets: false });
    kube.secrets.clear();
    await Promise.all(issuers.splice(0).map((issuer) => issuer.close()));
  });
  afterAll(() => kube.close());

  function make(more: Partial<KubernetesIssuerOptions> = {}): Issuer {
    const issuer = createKubernetesIssuer(optionsFor(kube, more));
    issuers.push(issuer);
    return issuer;
  }

  async function issue(issuer: Issuer, resources: string[], actionClasses: ActionClass[], ms = 5_000) {
    const lease = newLease(issuer, kube.now());
    // As the lease manager asks: the downstream's shortest life counts where it is longer (L3).
    const expiresAt = Math.max(lease.expiresAt, kube.now() + issuer.minTtlSeconds * 1000);
    const request = { ...requestFor(lease, AbortSignal.timeout(ms)), resources, actionClasses, expiresAt };
    return { lease, issued: await issuer.issue(request) };
  }
  const tokenOf = ({ fields }: IssuedCredential): string => fields.token?.reveal() ?? '';
  const accountOf = (issued: IssuedCredential): string | undefined => kube.tokens.get(tokenOf(issued))?.account;

  it('takes the service account that its owner named for the task’s classes and resources', async () => {
    const issuer = make({ discoveryServiceAccount: 'nobody' });
    expect(accountOf((await issue(issuer, [], ['read'])).issued)).toBe('viewer');
    expect(accountOf((await issue(issuer, ['deployments/shop'], ['read', 'write'])).issued)).toBe('deployer');
    expect(accountOf((await issue(issuer, [], [])).issued)).toBe('nobody');
    await expect(issue(issuer, ['secrets/shop'], ['write'])).rejects.toMatchObject({ code: 'ERR_CREDENTIAL_ISSUE' });
    await expect(issue(issuer, [], ['write'])).rejects.toThrow('no resource');
    await expect(issue(issuer, [], ['privilege'])).rejects.toThrow('come to nothing');
    await expect(issue(make(), [], [])).rejects.toMatchObject({
      hint: expect.stringContaining('discoveryServiceAccount'),
    });
  });

  it('L3 lives ten minutes at least, as the downstream has it, and says so', async () => {
    const issuer = make();
    expect(issuer.minTtlSeconds).toBe(600);
    const before = Date.now();
    const { issued } = await issue(issuer, [], ['read']);
    expect(issued.nativeExpiresAt).toBeGreaterThan(before + 598_000);
    expect(issued.nativeExpiresAt).toBeLessThanOrEqual(Date.now() + 600_000);
  });

  it('L2 names the Secret after the lease, and says there whose it is', async () => {
    const { lease } = await issue(make(), [], ['read']);
    expect(kube.secrets.get(nameOf(lease.tag))).toMatchObject({
      annotations: { 'remit/task': lease.task, 'remit/agent': lease.agent },
      labels: { 'app.kubernetes.io/managed-by': 'remit' },
    });
  });

  it('L5 leaves no token that can be used where the answer with it was lost', async () => {
    kube.troubles.push({ at: /\/token$/, how: 'lose' });
    await expect(issue(make(), [], ['read'])).rejects.toMatchObject({ code: 'ERR_CREDENTIAL_ISSUE' });
    expect(kube.secrets.size).toBe(0);
    expect([...kube.tokens.keys()].some((token) => kube.admits(token, OWN))).toBe(false);
  });

  it('refuses a token that ends later than asked, and leaves none', async () => {
    kube.moreSeconds = 3_000;
    await expect(issue(make(), [], ['read'])).rejects.toThrow('was asked for');
    expect(kube.secrets.size).toBe(0);
  });

  it('takes a token that ends earlier, and says when', async () => {
    kube.moreSeconds = -100;
    const { issued } = await issue(make(), [], ['read']);
    expect(issued.nativeExpiresAt).toBeLessThanOrEqual(Date.now() + 500_000);
  });

  it('L7 claims `next_use` only where the API server is asked about each token', () => {
    expect(make().revocation).toBe('next_use');
    expect(make({ audiences: ['https://mcp.example.com'] }).revocation).toBe('expiry_only');
    expect(make({ audiences: ['https://mcp.example.com'], isReviewed: true }).revocation).toBe('next_use');
  });

  it.each([
    ['may not make Secrets', 'create secrets'],
    ['may not ask for tokens', 'create serviceaccounts/token'],
  ])('says where Remit %s', async (_, right) => {
    kube.rights.delete(right);
    await expect(issue(make(), [], ['read'])).rejects.toMatchObject({
      code: 'ERR_CREDENTIAL_ISSUE',
      message: expect.stringContaining('forbidden'),
      hint: expect.stringContaining('serviceaccounts/token'),
    });
    kube.rights.add(right);
  });

  it.each(['garble', 'huge', 500, 'lose'] as const)(
    'fails closed where an answer is %s, and leaves nothing',
    async (how) => {
      for (const at of [/POST .*\/secrets$/, /\/token$/]) {
        kube.troubles.push({ at, how, times: 1 });
        await expect(issue(make(), [], ['read'])).rejects.toMatchObject({ code: 'ERR_CREDENTIAL_ISSUE' });
        kube.troubles.length = 0;
      }
      expect(kube.secrets.size).toBe(0);
    },
  );

  it('ends with its deadline where nothing is answered', async () => {
    kube.troubles.push({ at: /\/token$/, how: 'hang' });
    await expect(issue(make(), [], ['read'], 200)).rejects.toThrow('not done before the issue deadline');
  });

  it.each([
    ['Remit may not', () => void kube.rights.delete('delete secrets'), 'forbidden'],
    ['a proxy answers 404', () => void kube.troubles.push({ at: /DELETE/, how: 404 }), '404'],
    ['something holds the Secret', () => void Object.assign(kube, { holdsSecrets: true }), 'finalizers'],
    ['nothing is answered', () => void kube.troubles.push({ at: /DELETE/, how: 'hang' }), 'not done within'],
  ])('L4 does not say that it revoked where %s', async (_, arrange, text) => {
    const issuer = make({ revokeWithinMs: 300 });
    const { lease } = await issue(issuer, [], ['read']);
    arrange();
    await expect(issuer.revoke(lease, undefined)).rejects.toMatchObject({
      code: 'ERR_CREDENTIAL_REVOKE',
      message: expect.stringContaining(text),
    });
    kube.rights.add('delete secrets');
  });

  it('deletes nothing that is not named as a lease is', async () => {
    kube.secrets.set('database-password', { uid: 'one', annotations: {}, labels: {} });
    const lease = { ...newLease(make()), tag: 'database-password' };
    await expect(make().revoke(lease, undefined)).rejects.toMatchObject({ code: 'ERR_CREDENTIAL_REVOKE' });
    expect(kube.secrets.has('database-password')).toBe(true);
  });
});
