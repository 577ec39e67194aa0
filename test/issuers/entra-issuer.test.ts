import { randomBytes } from 'node:crypto';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { createEntraIssuer, type EntraIssuerOptions } from '../../src/adapters/issuers/entra-issuer.ts';
import { createGuardedFetch } from '../../src/adapters/upstreams/guarded-fetch.ts';
import { Secret } from '../../src/domain/secret.ts';
import type { ActionClass } from '../../src/domain/tool.ts';
import type { Issuer } from '../../src/seams/issuer.ts';
import { issuerSuite, newLease, requestFor } from '../suites/issuer-suite.ts';
import { type FakeEntra, startFakeEntra } from '../support/fake-entra.ts';
import { selfSigned } from '../support/self-signed.ts';

const GRAPH = 'https://graph.microsoft.com';
const MAIL = 'api://mail';
const own = selfSigned();
const other = selfSigned();

function optionsFor(entra: FakeEntra, more: Partial<EntraIssuerOptions> = {}): EntraIssuerOptions {
  const { fetch, close } = createGuardedFetch({ hostname: '127.0.0.1', allowPrivateNetwork: false });
  return {
    authority: entra.url,
    directory: entra.directory,
    clientId: entra.clientId,
    certificate: async () => new Secret(own.pem),
    rules: [
      { scope: `${GRAPH}/.default`, classes: ['read'], resources: ['sites/*'] },
      { scope: `${MAIL}/.default`, classes: ['read', 'write'], resources: ['mail/*'] },
    ],
    discoveryScope: undefined,
    tokenSeconds: 5_400,
    fetch,
    clock: () => entra.now(),
    random: randomBytes,
    close,
    ...more,
  };
}

async function start(): Promise<FakeEntra> {
  const entra = await startFakeEntra();
  entra.certificates.push(own.certificate);
  for (const resource of [GRAPH, MAIL]) entra.resources.add(resource);
  return entra;
}

issuerSuite('entra', async () => {
  const entra = await start();
  return {
    issuer: createEntraIssuer(optionsFor(entra)),
    other: () => createEntraIssuer(optionsFor(entra)),
    clock: Date.now,
    resources: ['sites/shop'],
    actionClasses: ['read'],
    canUse: async ({ token }) => entra.admits(token?.reveal() ?? '', GRAPH),
    exists: undefined,
    broken: [
      createEntraIssuer(optionsFor(entra, { certificate: async () => new Secret(other.pem) })),
      createEntraIssuer(optionsFor(entra, { certificate: async () => new Secret('canary-no-certificate') })),
      createEntraIssuer(optionsFor(entra, { certificate: async () => new Secret(own.certificate) })),
      createEntraIssuer(optionsFor(entra, { authority: 'http://127.0.0.1:9' })),
      createEntraIssuer(optionsFor(entra, { directory: 'elsewhere' })),
    ],
    secrets: ['canary-no-certificate', ...[own, other].map(({ pem, certificate }) => pem.slice(certificate.length))],
    stop: () => entra.close(),
  };
});

describe('the entra issuer', () => {
  let entra: FakeEntra;
  const issuers: Issuer[] = [];

  beforeAll(async () => {
    entra = await start();
  });
  afterEach(async () => {
    entra.troubles.length = 0;
    Object.assign(entra, { now: Date.now, tokenSeconds: 3_599 });
    await Promise.all(issuers.splice(0).map((issuer) => issuer.close()));
  });
  afterAll(() => entra.close());

  function make(more: Partial<EntraIssuerOptions> = {}): Issuer {
    const issuer = createEntraIssuer(optionsFor(entra, more));
    issuers.push(issuer);
    return issuer;
  }

  async function issue(issuer: Issuer, resources: string[], actionClasses: ActionClass[], ms = 5_000) {
    const lease = newLease(issuer, entra.now());
    const expiresAt = Math.max(lease.expiresAt, entra.now() + issuer.minTtlSeconds * 1000);
    const request = { ...requestFor(lease, AbortSignal.timeout(ms)), resources, actionClasses, expiresAt };
    return { lease, issued: await issuer.issue(request) };
  }

  it('is for one API: the first that has all of the task’s classes and resources', async () => {
    const { issued } = await issue(make(), ['mail/inbox'], ['read', 'write']);
    const token = issued.fields.token?.reveal() ?? '';
    expect([entra.admits(token, MAIL), entra.admits(token, GRAPH)]).toEqual([true, false]);
    await expect(issue(make(), ['sites/shop', 'mail/inbox'], ['read'])).rejects.toMatchObject({
      code: 'ERR_CREDENTIAL_ISSUE',
    });
    await expect(issue(make(), ['sites/shop'], ['write'])).rejects.toMatchObject({ code: 'ERR_CREDENTIAL_ISSUE' });
    await expect(issue(make(), [], [])).rejects.toMatchObject({ hint: expect.stringContaining('discoveryScope') });
    expect((await issue(make({ discoveryScope: `${GRAPH}/.default` }), [], [])).issued.scope).toContain(GRAPH);
  });

  it('L3 L7 lives as long as the directory says, goes on after a revoke, and says both', async () => {
    const issuer = make();
    expect([issuer.minTtlSeconds, issuer.revocation]).toEqual([5_400, 'expiry_only']);
    const { lease, issued } = await issue(issuer, ['sites/shop'], ['read']);
    expect(issued.nativeExpiresAt).toBeLessThanOrEqual(Date.now() + 3_599_000);
    await issuer.revoke(lease, undefined);
    expect(entra.admits(issued.fields.token?.reveal() ?? '', GRAPH)).toBe(true);
  });

  it('refuses a token that lives longer than its owner said', async () => {
    entra.tokenSeconds = 86_399;
    await expect(issue(make(), ['sites/shop'], ['read'])).rejects.toMatchObject({
      hint: expect.stringContaining('tokenSeconds'),
    });
  });

  it('says what the directory has against it', async () => {
    await expect(issue(make({ clientId: 'other' }), ['sites/shop'], ['read'])).rejects.toThrow('AADSTS700016');
    await expect(issue(make({ clock: () => Date.now() - 3_600_000 }), ['sites/shop'], ['read'])).rejects.toThrow(
      'AADSTS7000',
    );
    const rules = [{ scope: 'api://none/.default', classes: ['read'] as const }];
    await expect(issue(make({ rules }), [], ['read'])).rejects.toThrow('AADSTS500011');
  });

  it.each(['garble', 'huge', 500, 'lose'] as const)('fails closed where the answer is %s', async (how) => {
    entra.troubles.push({ at: /token/, how });
    await expect(issue(make(), ['sites/shop'], ['read'])).rejects.toMatchObject({ code: 'ERR_CREDENTIAL_ISSUE' });
  });

  it('ends with its deadline where nothing is answered', async () => {
    entra.troubles.push({ at: /token/, how: 'hang' });
    await expect(issue(make(), ['sites/shop'], ['read'], 150)).rejects.toThrow('issue deadline');
  });
});
