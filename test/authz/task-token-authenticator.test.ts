import { type CryptoKey, generateKeyPair, type JWTPayload, SignJWT } from 'jose';
import { describe, expect, it } from 'vitest';
import { createTaskTokenAuthenticator } from '../../src/adapters/authn/task-token-authenticator.ts';
import { agentId, taskId, tenantId } from '../../src/domain/ids.ts';
import { isRefused } from '../../src/domain/refusal.ts';
import { authenticatorSuite } from '../suites/authenticator-suite.ts';

const ISSUER = 'http://127.0.0.1:7420';
const AUDIENCE = 'http://127.0.0.1:7420/mcp';

async function makeHarness(cacheSize = 100) {
  const { privateKey, publicKey } = await generateKeyPair('ES256', { extractable: true });
  let now = 1_790_000_000_000;
  let keys: ReadonlyMap<string, CryptoKey> = new Map([['k1', publicKey]]);
  const authenticator = createTaskTokenAuthenticator({
    issuer: ISSUER,
    audience: AUDIENCE,
    keys: () => keys,
    clock: () => now,
    cacheSize,
  });
  const claims = (lifeSeconds = 300): JWTPayload => ({
    iss: ISSUER,
    aud: AUDIENCE,
    sub: 'alice',
    client_id: 'support-bot',
    act: { sub: 'support-bot' },
    user: { iss: 'https://idp.example', groups: ['support'] },
    iat: now / 1000,
    exp: now / 1000 + lifeSeconds,
    jti: 'token-1',
    task: 'tsk_a',
    tenant: 'default',
    client_jkt: 'thumb',
  });
  return {
    authenticator,
    privateKey,
    publicKey,
    kid: 'k1',
    claims,
    principal: {
      tenant: tenantId('default'),
      user: { issuer: 'https://idp.example', subject: 'alice', groups: ['support'] },
      agent: agentId('support-bot'),
      actors: [],
      workload: 'private_key_jwt:thumb',
      task: taskId('tsk_a'),
    },
    advance(seconds: number) {
      now += seconds * 1000;
    },
    setKeys(next: ReadonlyMap<string, CryptoKey>) {
      keys = next;
    },
    sign: (payload: JWTPayload) =>
      new SignJWT(payload).setProtectedHeader({ alg: 'ES256', typ: 'at+jwt', kid: 'k1' }).sign(privateKey),
  };
}

authenticatorSuite('task tokens', makeHarness);

describe('task token authenticator', () => {
  it('makes a principal without user of a token whose subject is the agent', async () => {
    const { authenticator, claims, sign } = await makeHarness();
    const { act: _act, user: _user, client_jkt: _thumb, ...rest } = claims();
    expect(await authenticator.authenticate(`Bearer ${await sign({ ...rest, sub: 'support-bot' })}`)).toMatchObject({
      user: undefined,
      agent: 'support-bot',
      workload: 'private_key_jwt',
    });
  });

  it.each([
    ['a user without an actor', { act: undefined }],
    ['an actor without a user', { user: undefined }],
    ['an actor who is not the client', { act: { sub: 'other-bot' } }],
    ['a chain of actors, which nothing issues yet', { act: { sub: 'support-bot', act: { sub: 'x' } } }],
    ['another subject than the agent without a user', { act: undefined, user: undefined }],
    ['groups that are not texts', { user: { iss: 'https://idp.example', groups: [1] } }],
    ['no task', { task: undefined }],
    ['no tenant', { tenant: undefined }],
  ])('refuses a signed token with %s', async (_title, change) => {
    const { authenticator, claims, sign } = await makeHarness();
    const payload = JSON.parse(JSON.stringify({ ...claims(), ...change })) as JWTPayload;
    const answer = await authenticator.authenticate(`Bearer ${await sign(payload)}`);
    expect(answer).toMatchObject({ refusal: { error: 'invalid_token', reason: expect.stringMatching(/malformed/) } });
  });

  it('answers a known token without verifying again, and verifies again once the keys change', async () => {
    const { authenticator, claims, sign, setKeys, publicKey } = await makeHarness();
    const header = `Bearer ${await sign(claims())}`;
    expect(authenticator.authenticate(header)).toBeInstanceOf(Promise);
    await authenticator.authenticate(header);
    expect(authenticator.authenticate(header)).not.toBeInstanceOf(Promise);
    setKeys(new Map([['k1', publicKey]]));
    expect(isRefused(await authenticator.authenticate(header))).toBe(false);
    setKeys(new Map());
    expect(await authenticator.authenticate(header)).toMatchObject({
      refusal: { reason: expect.stringMatching(/not signed by a key/) },
    });
  });

  it('I3 forgets the oldest token when the cache is full', async () => {
    const { authenticator, claims, sign } = await makeHarness(2);
    const headers: string[] = [];
    for (const jti of ['a', 'b', 'c']) {
      headers.push(`Bearer ${await sign({ ...claims(), jti })}`);
      await authenticator.authenticate(headers.at(-1));
    }
    const isCached = headers.map((header) => !(authenticator.authenticate(header) instanceof Promise));
    expect(isCached).toEqual([false, true, true]);
  });

  it('grants no more skew than 5 seconds', () => {
    const options = { issuer: ISSUER, audience: AUDIENCE, keys: () => new Map(), clock: () => 0 };
    expect(() => createTaskTokenAuthenticator({ ...options, skewSeconds: 6 })).toThrow(RangeError);
  });
});
