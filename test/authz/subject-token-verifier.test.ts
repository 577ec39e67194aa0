import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { exportJWK, generateKeyPair, type JWK, type JWTHeaderParameters, type JWTPayload, SignJWT } from 'jose';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { createSubjectTokenVerifier, type TrustedProvider } from '../../src/adapters/authn/subject-token-verifier.ts';

/** FAKE: an identity provider that serves whatever documents a test wants; the real one is in grants.test.ts. */
let server: Server;
let issuer: string;
let documents: Record<string, unknown>;
let hits: string[];
let now: number;
let keys: Awaited<ReturnType<typeof makeKey>>;

async function makeKey(kid: string | undefined, alg = 'ES256') {
  const { privateKey, publicKey } = await generateKeyPair(alg, { extractable: true });
  const jwk: JWK = { ...(await exportJWK(publicKey)), alg, use: 'sig', ...(kid !== undefined && { kid }) };
  return { privateKey, jwk, kid, alg };
}

beforeEach(async () => {
  hits = [];
  now = 1_790_000_000_000;
  documents = {};
  server = createServer((request, response) => {
    hits.push(request.url ?? '');
    const document = documents[request.url ?? ''];
    if (document === undefined) return void response.writeHead(404).end();
    if (typeof document === 'string') return void response.writeHead(302, { Location: document }).end();
    response.end(JSON.stringify(document));
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  issuer = `http://127.0.0.1:${(server.address() as AddressInfo).port}/company`;
  keys = await makeKey('k1');
  documents['/company/.well-known/openid-configuration'] = { issuer, jwks_uri: new URL('/keys', issuer).href };
  documents['/keys'] = { keys: [keys.jwk] };
});
afterEach(() => {
  server.closeAllConnections();
  return new Promise((resolve) => server.close(resolve));
});

const makeVerifier = (over: Partial<TrustedProvider> = {}) =>
  createSubjectTokenVerifier({
    providers: [{ issuer, audience: 'remit', groupsClaim: 'groups', ...over }],
    fetch,
    clock: () => now,
    log: { debug() {}, info() {}, warn() {}, error() {} },
  });
const claims = (): JWTPayload => ({
  iss: issuer,
  aud: 'remit',
  sub: 'alice',
  exp: now / 1000 + 60,
  groups: ['a', 'b', 'a'],
});
const sign = (payload: JWTPayload, header: Partial<JWTHeaderParameters> = {}, by = keys) =>
  new SignJWT(payload)
    .setProtectedHeader({ alg: by.alg, ...(by.kid !== undefined && { kid: by.kid }), ...header })
    .sign(by.privateKey);

describe('subject token verifier', () => {
  it('finds the keys through the metadata, keeps them, and makes the user', async () => {
    const { verify } = makeVerifier();
    const expected = {
      user: { issuer, subject: 'alice', groups: ['a', 'b'] },
      mayAct: undefined,
      expiresAt: now + 60_000,
    };
    expect(await Promise.all([verify(await sign(claims())), verify(await sign(claims()))])).toEqual([
      expected,
      expected,
    ]);
    expect(hits).toEqual(['/company/.well-known/openid-configuration', '/keys']);
    now += 599_000;
    expect(await verify(await sign(claims(), { typ: 'at+jwt' }))).toMatchObject({ user: { subject: 'alice' } });
    expect(hits).toHaveLength(2);
    now += 1_000;
    await verify(await sign(claims()));
    expect(hits).toHaveLength(4);
  });

  it('finds them through RFC 8414 metadata, or at the configured address', async () => {
    documents['/.well-known/oauth-authorization-server/company'] =
      documents['/company/.well-known/openid-configuration'];
    documents['/company/.well-known/openid-configuration'] = undefined;
    expect(await makeVerifier().verify(await sign(claims()))).toHaveProperty('user');
    hits = [];
    const configured = makeVerifier({ jwksUri: new URL('/keys', issuer).href });
    expect(await configured.verify(await sign(claims()))).toHaveProperty('user');
    expect(hits).toEqual(['/keys']);
  });

  it.each([
    ['another issuer', { iss: 'https://evil.example' }, 'unknown_issuer', /allowed: http/],
    ['an issuer with a slash more', { iss: 'SLASH' }, 'unknown_issuer', /not a configured/],
    ['another audience', { aud: 'payroll' }, 'wrong_audience', /'remit'/],
    ['no audience', { aud: undefined }, 'wrong_audience', /audience/],
    ['an expiry in the past', { exp: 1_789_999_000 }, 'expired', /expired/],
    ['no expiry', { exp: undefined }, 'malformed', /exp/],
    ['a start in the future', { nbf: 1_790_000_100 }, 'expired', /not valid yet/],
    ['no subject', { sub: undefined }, 'malformed', /sub/],
    ['a subject over two lines', { sub: 'alice\nroot' }, 'malformed', /control/],
    ['groups that are objects', { groups: [{ name: 'a' }] }, 'malformed', /groups/],
    ['groups beyond the bound', { groups: Array.from({ length: 600 }, (_, n) => `group-${n}`) }, 'malformed', /filter/],
    ['a client for a subject', { sub: 'svc', client_id: 'svc' }, 'not_a_user', /machine/],
    ['an application’s token', { idtyp: 'app' }, 'not_a_user', /machine/],
    ['a delegated token', { act: { sub: 'bot' } }, 'not_a_user', /delegated/],
    ['a broken may_act', { may_act: 'bot' }, 'malformed', /may_act/],
    ['logout events', { events: {} }, 'malformed', /not the access or id token/],
  ])('refuses a token with %s', async (_title, change, refused, reason) => {
    const payload = JSON.parse(
      JSON.stringify({ ...claims(), ...change }).replace('"SLASH"', JSON.stringify(`${issuer}/`)),
    ) as JWTPayload;
    expect(await makeVerifier().verify(await sign(payload))).toEqual({
      refused,
      reason: expect.stringMatching(reason),
    });
  });

  it('takes groups from the configured claim, one name for a list, and none for none', async () => {
    const verifier = makeVerifier({ groupsClaim: 'https://company.example/roles' });
    const groupsOf = async (payload: JWTPayload) => {
      const subject = await verifier.verify(await sign(payload));
      return 'user' in subject ? subject.user.groups : subject;
    };
    expect(await groupsOf({ ...claims(), 'https://company.example/roles': ['x'] })).toEqual(['x']);
    expect(await groupsOf({ ...claims(), 'https://company.example/roles': 'y' })).toEqual(['y']);
    expect(await groupsOf(claims())).toEqual([]);
  });

  it('tells who alone may act', async () => {
    expect(await makeVerifier().verify(await sign({ ...claims(), may_act: { sub: 'bot' } }))).toMatchObject({
      mayAct: 'bot',
    });
  });

  it.each(['logout+jwt', 'dpop+jwt', 'oauth-id-jag+jwt'])('refuses typ %s', async (typ) => {
    expect(await makeVerifier().verify(await sign(claims(), { typ }))).toMatchObject({ refused: 'malformed' });
  });

  it('refuses what is not signed by the provider: text, no algorithm, HMAC, another key', async () => {
    const { verify } = makeVerifier();
    expect(await verify('not a token')).toMatchObject({ refused: 'malformed' });
    expect(await verify('x'.repeat(20_000))).toMatchObject({ refused: 'malformed' });
    const part = (value: object): string => Buffer.from(JSON.stringify(value)).toString('base64url');
    expect(await verify(`${part({ alg: 'none' })}.${part(claims())}.`)).toHaveProperty('refused');
    const hmac = await new SignJWT(claims()).setProtectedHeader({ alg: 'HS256', kid: 'k1' }).sign(Buffer.alloc(32));
    expect(await verify(hmac)).toMatchObject({ refused: 'bad_signature' });
    expect(await verify(await sign(claims(), {}, await makeKey('k1')))).toMatchObject({ refused: 'bad_signature' });
  });

  it('asks for the keys again when one is missing, but not more than every 30 seconds', async () => {
    const { verify } = makeVerifier();
    await verify(await sign(claims()));
    const next = await makeKey('k2');
    documents['/keys'] = { keys: [keys.jwk, next.jwk] };
    expect(await verify(await sign(claims(), {}, next))).toMatchObject({ refused: 'bad_signature' });
    expect(hits).toHaveLength(2);
    now += 30_000;
    expect(await verify(await sign(claims(), {}, next))).toHaveProperty('user');
    expect(hits).toHaveLength(4);
  });

  it('tries every fitting key when neither side names one', async () => {
    const [one, two] = [await makeKey(undefined), await makeKey(undefined)];
    documents['/keys'] = { keys: [one.jwk, two.jwk] };
    const { verify } = makeVerifier();
    expect(await verify(await sign(claims(), {}, two))).toHaveProperty('user');
    expect(await verify(await sign({ ...claims(), aud: 'x' }, {}, two))).toMatchObject({ refused: 'wrong_audience' });
    expect(await verify(await sign(claims(), {}, await makeKey(undefined)))).toMatchObject({
      refused: 'bad_signature',
    });
  });

  it('D1 fails closed: an absent provider, stale keys, other metadata, a redirect, an endless key set', async () => {
    const token = async () => sign(claims());
    const expectUnavailable = async (verifier = makeVerifier()) =>
      expect(await verifier.verify(await token())).toEqual({
        refused: 'unavailable',
        reason: expect.stringContaining(issuer),
      });

    const warm = makeVerifier();
    expect(await warm.verify(await token())).toHaveProperty('user');
    const keySet = documents['/keys'];
    documents['/keys'] = undefined;
    await expectUnavailable();
    now += 600_000;
    await expectUnavailable(warm);
    documents['/elsewhere'] = keySet;
    documents['/keys'] = '/elsewhere';
    await expectUnavailable();
    documents['/keys'] = { keys: [], padding: 'x'.repeat(300_000) };
    await expectUnavailable();
    documents['/keys'] = { keys: 'none' };
    await expectUnavailable();
    documents['/keys'] = keySet;
    expect(await makeVerifier().verify(await token())).toHaveProperty('user');
    documents['/company/.well-known/openid-configuration'] = {
      issuer: `${issuer}/`,
      jwks_uri: new URL('/keys', issuer).href,
    };
    await expectUnavailable();
    documents['/company/.well-known/openid-configuration'] = { issuer, jwks_uri: 'file:///etc/keys' };
    await expectUnavailable();
  });
});
