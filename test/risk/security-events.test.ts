import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { exportJWK, generateKeyPair, SignJWT } from 'jose';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { createSecurityEventVerifier } from '../../src/adapters/authn/security-event-verifier.ts';
import { Secret } from '../../src/domain/secret.ts';
import { type SecurityEvents, serveSecurityEvents } from '../../src/http/security-events.ts';
import { createEventTaker } from '../../src/risk/take-event.ts';
import { makeRisk } from './fake-risk.ts';

/** Security event tokens, pushed as RFC 8935 has it, over real HTTP; the transmitter's keys are a document that the test holds. */
const ISSUER = 'https://idp.example';
const AUDIENCE = 'https://remit.example/risk/events';
const REVOKED = 'https://schemas.openid.net/secevent/caep/event-type/session-revoked';
const VERIFICATION = 'https://schemas.openid.net/secevent/ssf/event-type/verification';
const NOW = 1_800_000_000_000;
const ann = { format: 'iss_sub', iss: ISSUER, sub: 'ann' };
const ofAnn = { kind: 'user', id: `${ISSUER}#ann` } as const;

type Key = Awaited<ReturnType<typeof makeKey>>;
let server: Server;
let url: string;
let key: Key;
let other: Key;
let served: SecurityEvents;
let keysServed: () => Promise<Response>;
let refused: Readonly<Record<string, unknown>>[];
let risk: ReturnType<typeof makeRisk>;
let count = 0;

async function makeKey(kid: string) {
  const { privateKey, publicKey } = await generateKeyPair('ES256', { extractable: true });
  return { privateKey, kid, jwk: { ...(await exportJWK(publicKey)), kid, alg: 'ES256' } };
}

beforeAll(async () => {
  [key, other] = [await makeKey('k1'), await makeKey('k2')];
  server = createServer((request, response) => {
    serveSecurityEvents(served, request, response).catch(() => response.writeHead(500).end());
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/risk/events`;
});

afterAll(() => {
  server.closeAllConnections();
  return new Promise((resolve) => server.close(resolve));
});

function serve(more: { readonly authorization?: Secret; readonly record?: () => Promise<unknown> } = {}): void {
  const { authorization, record } = more;
  risk = makeRisk({ ...(record && { record }), rules: {} });
  refused = [];
  keysServed = async () => Response.json({ keys: [key.jwk] });
  served = {
    verifier: createSecurityEventVerifier({
      transmitters: [{ name: 'idp', issuer: ISSUER, audience: AUDIENCE, jwksUri: `${ISSUER}/keys`, authorization }],
      fetch: () => keysServed(),
      clock: () => NOW,
      log: { debug() {}, info() {}, warn() {}, error() {} },
    }),
    taker: createEventTaker({
      risk: risk.levels,
      rights: new Map([
        ['idp', { events: new Map([[REVOKED, 60]]), usersOf: [ISSUER], agents: ['scribe'], connectors: [] }],
      ]),
    }),
    recordRefusal: (detail) => void refused.push(detail),
  };
}
beforeEach(() => serve());

interface Made {
  readonly isByOther?: boolean;
  readonly hasKid?: boolean;
  readonly typ?: string;
  readonly claims?: Readonly<Record<string, unknown>>;
}

function make({ isByOther = false, hasKid = true, typ = 'secevent+jwt', claims = {} }: Made = {}): Promise<string> {
  count += 1;
  const by = isByOther ? other : key;
  const usual = {
    iss: ISSUER,
    aud: AUDIENCE,
    iat: NOW / 1_000,
    jti: `j${count}`,
    sub_id: ann,
    events: { [REVOKED]: {} },
  };
  return new SignJWT({ ...usual, ...claims })
    .setProtectedHeader({ alg: 'ES256', ...(hasKid && { kid: by.kid }), typ })
    .sign(by.privateKey);
}

async function push(token: string, headers: Record<string, string> = {}): Promise<{ status: number; body: string }> {
  const type = { 'Content-Type': 'application/secevent+jwt' };
  const answer = await fetch(url, { method: 'POST', headers: { ...type, ...headers }, body: token });
  return { status: answer.status, body: await answer.text() };
}

describe('a pushed security event', () => {
  it('moves the risk of the user that it names, and is on the trail before it is answered', async () => {
    expect(await push(await make())).toEqual({ status: 202, body: '' });
    expect(risk.levels.show(ofAnn)).toEqual({ score: 60, level: 'high' });
    expect(risk.records).toMatchObject([{ detail: { signal: 'external', what: `idp: ${REVOKED}`, points: 60 } }]);
  });

  it('A1 that cannot be put on the trail is not acknowledged, counts, and may come again', async () => {
    let isBroken = true;
    serve({ record: () => (isBroken ? Promise.reject(new Error('the disk is full')) : Promise.resolve()) });
    const token = await make();
    expect((await push(token)).status).toBe(500);
    expect(risk.levels.show(ofAnn).level).toBe('high');
    isBroken = false;
    expect((await push(token)).status).toBe(202);
  });

  it('counts once, however often it is sent', async () => {
    const token = await make();
    const answers = await Promise.all([push(token), push(token), push(token)]);
    expect(answers.map(({ status }) => status)).toEqual([202, 202, 202]);
    expect(risk.levels.show(ofAnn).score).toBe(60);
  });

  it.each([
    ['of another type of token', { typ: 'JWT' }, 'invalid_request'],
    ['signed with another key', { isByOther: true }, 'invalid_key'],
    ['of an issuer that nobody configured', { claims: { iss: 'https://evil.example' } }, 'invalid_issuer'],
    ['for somebody else', { claims: { aud: 'https://elsewhere.example' } }, 'invalid_audience'],
    ['without a jti', { claims: { jti: undefined } }, 'invalid_request'],
    ['without an iat', { claims: { iat: undefined } }, 'invalid_request'],
    ['of the future', { claims: { iat: NOW / 1_000 + 600 } }, 'invalid_request'],
    ['of the day before yesterday', { claims: { iat: NOW / 1_000 - 2 * 86_400 } }, 'invalid_request'],
    ['without events', { claims: { events: {} } }, 'invalid_request'],
    ['with events that are none', { claims: { events: { [REVOKED]: 'yes' } } }, 'invalid_request'],
  ] as const)('D1 %s is refused, and does nothing', async (_, made: Made, err) => {
    const { status, body } = await push(await make(made));
    expect({ status, err: JSON.parse(body).err }).toEqual({ status: 400, err });
    expect(refused).toMatchObject([{ at: 'security events', error: err }]);
    expect(risk.records).toEqual([]);
  });

  it('D1 what is no token, no POST, of another media type or too large is refused', async () => {
    const statusOf = async (init: RequestInit) => (await fetch(url, init)).status;
    expect((await push('not.a.token')).status).toBe(400);
    expect((await push(await make(), { 'Content-Type': 'application/json' })).status).toBe(400);
    expect((await push('a'.repeat(70_000))).status).toBe(400);
    expect(await statusOf({ method: 'GET' })).toBe(405);
    expect(risk.records).toEqual([]);
  });

  it('D1 unsigned, and signed with a shared secret, is refused', async () => {
    const part = (value: object): string => Buffer.from(JSON.stringify(value)).toString('base64url');
    const claims = part({
      iss: ISSUER,
      aud: AUDIENCE,
      iat: NOW / 1_000,
      jti: 'x',
      sub_id: ann,
      events: { [REVOKED]: {} },
    });
    expect((await push(`${part({ alg: 'none', typ: 'secevent+jwt' })}.${claims}.`)).status).toBe(400);
    const shared = await new SignJWT(JSON.parse(Buffer.from(claims, 'base64url').toString()))
      .setProtectedHeader({ alg: 'HS256', kid: 'k1', typ: 'secevent+jwt' })
      .sign(Buffer.from(JSON.stringify(key.jwk)));
    expect((await push(shared)).status).toBe(400);
    expect(risk.records).toEqual([]);
  });

  it('is verified without a kid, by whichever key of its issuer fits, and by no other', async () => {
    keysServed = async () => Response.json({ keys: [other.jwk, key.jwk] });
    expect((await push(await make({ hasKid: false }))).status).toBe(202);
    const stranger = await makeKey('k3');
    serve();
    keysServed = async () => Response.json({ keys: [other.jwk, stranger.jwk] });
    expect(JSON.parse((await push(await make({ hasKid: false }))).body)).toMatchObject({ err: 'invalid_key' });
  });

  it('D1 keys that cannot be fetched refuse; they are asked for again', async () => {
    keysServed = () => Promise.reject(new Error('away'));
    expect(JSON.parse((await push(await make())).body)).toMatchObject({ err: 'invalid_key' });
    keysServed = async () => Response.json({ keys: [key.jwk] });
    expect((await push(await make())).status).toBe(202);
  });

  it('L6 without the header that was agreed on it is refused, and nothing says what it would be', async () => {
    serve({ authorization: new Secret('Bearer agreed-upon') });
    const token = await make();
    for (const headers of [{}, { Authorization: 'Bearer agreed-upom' }]) {
      const { status, body } = await push(token, headers);
      expect({ status, err: JSON.parse(body).err }).toEqual({ status: 400, err: 'authentication_failed' });
      expect(body + JSON.stringify(refused)).not.toContain('agreed-up');
    }
    expect((await push(token, { Authorization: 'Bearer agreed-upon' })).status).toBe(202);
  });

  it.each([
    ['an event that weighs nothing', { events: { [VERIFICATION]: { state: 'x' } } }, []],
    ['a user of another issuer', { sub_id: { ...ann, iss: 'https://other.example' } }, []],
    ['nobody that we know', { sub_id: { format: 'email', email: 'ann@idp.example' } }, []],
    ['an agent that it may not speak of', { sub_id: { format: 'opaque', id: 'agent other' } }, []],
    ['an agent that it may speak of', { sub_id: { format: 'opaque', id: 'agent scribe' } }, ['agent scribe']],
    [
      'a subject within the event',
      { sub_id: undefined, events: { [REVOKED]: { subject: ann } } },
      [`user ${ISSUER}#ann`],
    ],
    ['the user of a complex subject', { sub_id: { format: 'complex', user: ann } }, [`user ${ISSUER}#ann`]],
    [
      'the same user twice',
      { sub_id: { format: 'aliases', identifiers: [ann, ann, null, 7] } },
      [`user ${ISSUER}#ann`],
    ],
    ['no object', { sub_id: 'ann' }, []],
  ])('taken, of %s', async (_, claims, moved) => {
    expect((await push(await make({ claims }))).status).toBe(202);
    expect(risk.levels.list().map(({ subject }) => `${subject.kind} ${subject.id}`)).toEqual(moved);
  });
});
