import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { createGcpIssuer, type GcpIssuerOptions } from '../../src/adapters/issuers/gcp-issuer.ts';
import { createGuardedFetch } from '../../src/adapters/upstreams/guarded-fetch.ts';
import { Secret } from '../../src/domain/secret.ts';
import type { ActionClass } from '../../src/domain/tool.ts';
import type { IssuedCredential, Issuer } from '../../src/seams/issuer.ts';
import { issuerSuite, newLease, requestFor } from '../suites/issuer-suite.ts';
import { type FakeGoogle, startFakeGoogle } from '../support/fake-google.ts';

const READER = 'roles/storage.objectViewer';
const WRITER = 'roles/storage.objectCreator';
const TARGET = 'reports@shop.iam.gserviceaccount.com';
const WRONG = 'canary-not-a-key';

function optionsFor(google: FakeGoogle, more: Partial<GcpIssuerOptions> = {}): GcpIssuerOptions {
  const { fetch, close } = createGuardedFetch({ hostname: '127.0.0.1', allowPrivateNetwork: false });
  return {
    key: async () => new Secret(google.key),
    tokenUrl: `${google.url}/token`,
    stsUrl: `${google.url}/v1/token`,
    iamUrl: google.url,
    impersonate: TARGET,
    rules: [
      { classes: ['read', 'export'], bucket: 'reports', roles: [READER], objects: 'in/{resource}' },
      { classes: ['write'], bucket: 'reports', roles: [WRITER], objects: 'out/{resource}', for: ['2026/*'] },
      { classes: ['ticket'], bucket: 'tickets', roles: [READER] },
    ],
    fetch,
    clock: () => google.now(),
    close,
    ...more,
  };
}

async function start(): Promise<FakeGoogle> {
  const google = await startFakeGoogle();
  google.impersonable.add(TARGET);
  for (const account of [TARGET, google.email]) google.roles.set(account, [READER, WRITER]);
  return google;
}

const privateKeyOf = (google: FakeGoogle): string => (JSON.parse(google.key) as { private_key: string }).private_key;

for (const [name, more] of [
  ['gcp', {}],
  ['gcp, with the key’s own account', { impersonate: undefined }],
] as const) {
  issuerSuite(name, async () => {
    const google = await start();
    return {
      issuer: createGcpIssuer(optionsFor(google, more)),
      other: () => createGcpIssuer(optionsFor(google, more)),
      clock: Date.now,
      resources: ['2026/*'],
      actionClasses: ['read'],
      canUse: async ({ token }) => google.allows(token?.reveal() ?? '', READER, 'reports', 'in/2026/may.csv'),
      exists: undefined,
      broken: [
        createGcpIssuer(optionsFor(google, { key: async () => new Secret(WRONG) })),
        createGcpIssuer(optionsFor(google, { key: async () => new Secret(google.key.replace('MII', 'MIJ')) })),
        createGcpIssuer(optionsFor(google, { tokenUrl: 'http://127.0.0.1:9/token' })),
        createGcpIssuer(optionsFor(google, { impersonate: 'other@shop.iam.gserviceaccount.com' })),
      ],
      get secrets() {
        return [WRONG, privateKeyOf(google), ...google.tokens.keys()];
      },
      stop: () => google.close(),
    };
  });
}

describe('the gcp issuer', () => {
  let google: FakeGoogle;
  const issuers: Issuer[] = [];

  beforeAll(async () => {
    google = await start();
  });
  afterEach(async () => {
    google.troubles.length = 0;
    Object.assign(google, { now: Date.now, moreSeconds: 0 });
    await Promise.all(issuers.splice(0).map((issuer) => issuer.close()));
  });
  afterAll(() => google.close());

  function make(more: Partial<GcpIssuerOptions> = {}): Issuer {
    const issuer = createGcpIssuer(optionsFor(google, more));
    issuers.push(issuer);
    return issuer;
  }

  async function issue(issuer: Issuer, resources: string[], actionClasses: ActionClass[], ms = 5_000) {
    const lease = newLease(issuer, google.now());
    const expiresAt = Math.max(lease.expiresAt, google.now() + issuer.minTtlSeconds * 1000);
    const request = { ...requestFor(lease, AbortSignal.timeout(ms)), resources, actionClasses, expiresAt };
    return { lease, issued: await issuer.issue(request) };
  }
  const can = ({ fields }: IssuedCredential, role: string, object: string, bucket = 'reports'): boolean =>
    google.allows(fields.token?.reveal() ?? '', role, bucket, object);

  it('opens the task’s objects for its classes, and nothing else', async () => {
    const { issued } = await issue(make(), ['2026/*', 'old.csv'], ['read', 'write']);
    expect(can(issued, READER, 'in/2026/may.csv')).toBe(true);
    expect(can(issued, READER, 'in/old.csv')).toBe(true);
    expect(can(issued, WRITER, 'out/2026/june.csv')).toBe(true);
    for (const [role, object] of [
      [READER, 'in/2025/may.csv'],
      [READER, 'in/old.csv.bak'],
      [READER, 'out/2026/june.csv'],
      [WRITER, 'in/2026/may.csv'],
      [WRITER, 'out/old.csv'],
    ] as const) {
      expect(can(issued, role, object), `${role} ${object}`).toBe(false);
    }
    expect(can(issued, READER, 'anything', 'tickets')).toBe(false);
  });

  it('does not let a resource end its condition', async () => {
    const { issued } = await issue(make(), ["x' || resource.name.startsWith('", 'a\\'], ['read']);
    expect(can(issued, READER, 'in/2026/may.csv')).toBe(false);
    expect(can(issued, READER, "in/x' || resource.name.startsWith('")).toBe(true);
    expect(can(issued, READER, 'in/a\\')).toBe(true);
    await expect(issue(make(), ['a*b'], ['read'])).rejects.toThrow('no object’s name');
    await expect(issue(make(), ['a\nb'], ['read'])).rejects.toThrow('no object’s name');
  });

  it('opens nothing unnamed', async () => {
    await expect(issue(make(), [], ['read'])).rejects.toThrow('no rule');
    await expect(issue(make(), ['2025/x'], ['write'])).rejects.toThrow('no rule');
    await expect(issue(make(), ['2026/*'], ['code'])).rejects.toThrow('no rule');
    expect(can((await issue(make(), [], ['ticket'])).issued, READER, 'any', 'tickets')).toBe(true);
    const bare = (await issue(make(), [], [])).issued;
    expect(bare.scope).toBe('no rights');
    expect(can(bare, READER, 'in/2026/may.csv')).toBe(false);
  });

  it('L3 is as short as its lease where it impersonates, and an hour where it cannot be shorter', async () => {
    const short = make();
    expect(short.minTtlSeconds).toBe(1);
    const { lease, issued } = await issue(short, ['2026/*'], ['read']);
    expect(issued.nativeExpiresAt).toBeLessThanOrEqual(lease.expiresAt);
    google.now = () => lease.expiresAt + 1_000;
    expect(can(issued, READER, 'in/2026/may.csv')).toBe(false);
    google.now = Date.now;
    const long = make({ impersonate: undefined });
    expect(long.minTtlSeconds).toBe(3_600);
    expect((await issue(long, ['2026/*'], ['read'])).issued.nativeExpiresAt).toBeGreaterThan(Date.now() + 3_500_000);
  });

  it('refuses a token that ends later than asked', async () => {
    google.moreSeconds = 600;
    await expect(issue(make(), ['2026/*'], ['read'])).rejects.toThrow('was asked for');
  });

  it('L7 goes on after a revoke until it ends, and claims nothing else', async () => {
    const issuer = make();
    const { lease, issued } = await issue(issuer, ['2026/*'], ['read']);
    await issuer.revoke(lease, undefined);
    expect([issuer.revocation, can(issued, READER, 'in/2026/may.csv')]).toEqual(['expiry_only', true]);
  });

  it('asks where it is configured to, not where the key says', async () => {
    await issue(make(), ['2026/*'], ['read']);
    expect(google.asked.slice(-3)).toEqual([
      'POST /token',
      `POST /v1/projects/-/serviceAccounts/${encodeURIComponent(TARGET)}:generateAccessToken`,
      'POST /v1/token',
    ]);
  });

  it('says what Google has against it', async () => {
    await expect(issue(make({ impersonate: 'x@y.iam.gserviceaccount.com' }), ['a'], ['read'])).rejects.toThrow(
      'PERMISSION_DENIED',
    );
    await expect(issue(make({ clock: () => Date.now() - 7_200_000 }), ['a'], ['read'])).rejects.toThrow(
      'invalid_grant',
    );
  });

  it.each(['garble', 'huge', 500, 'lose'] as const)('fails closed where an answer is %s', async (how) => {
    for (const at of [/POST \/token/, /generateAccessToken/, /POST \/v1\/token/]) {
      google.troubles.push({ at, how, times: 1 });
      await expect(issue(make(), ['2026/*'], ['read'])).rejects.toMatchObject({ code: 'ERR_CREDENTIAL_ISSUE' });
      google.troubles.length = 0;
    }
  });

  it('ends with its deadline where nothing is answered', async () => {
    google.troubles.push({ at: /v1\/token/, how: 'hang' });
    await expect(issue(make(), ['2026/*'], ['read'], 200)).rejects.toThrow('issue deadline');
  });
});
