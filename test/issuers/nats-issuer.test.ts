import { decode } from '@nats-io/jwt';
import { createAccount, createOperator, createUser, fromPublic, fromSeed } from '@nats-io/nkeys';
import { describe, expect, it } from 'vitest';
import { createNatsIssuer } from '../../src/adapters/issuers/nats-issuer.ts';
import { readJwt, signJwt } from '../../src/adapters/issuers/nats-jwt.ts';
import { deriveUser, isSignedBy, nkeyOf } from '../../src/adapters/issuers/nkey.ts';
import { natsCredential } from '../../src/config/credentials/nats.ts';
import { Secret } from '../../src/domain/secret.ts';
import { newLease, requestFor } from '../suites/issuer-suite.ts';

const bytes = Buffer.from('what is signed');

describe('keys of NATS', () => {
  it('are those of @nats-io/nkeys, and sign and verify as it does', () => {
    for (const [kind, pair] of [
      ['A', createAccount()],
      ['O', createOperator()],
      ['U', createUser()],
    ] as const) {
      const key = nkeyOf(new Secret(pair.getSeed()), kind, 'x');
      expect(key.publicKey).toBe(pair.getPublicKey());
      expect(fromPublic(key.publicKey).verify(bytes, key.sign(bytes))).toBe(true);
      expect(isSignedBy(key.publicKey, bytes, pair.sign(bytes))).toBe(true);
      expect(isSignedBy(key.publicKey, Buffer.from('else'), pair.sign(bytes))).toBe(false);
    }
  });

  it('L2 of a lease are the same for the same tag and signing key, and no other’s', () => {
    const [one, other] = [new Secret(createAccount().getSeed()), new Secret(createAccount().getSeed())];
    const { key, seed } = deriveUser(one, 'remit_aaaaaaaaaa');
    expect(fromSeed(seed).getPublicKey()).toBe(key.publicKey);
    expect(deriveUser(one, 'remit_aaaaaaaaaa').key.publicKey).toBe(key.publicKey);
    expect(deriveUser(one, 'remit_bbbbbbbbbb').key.publicKey).not.toBe(key.publicKey);
    expect(deriveUser(other, 'remit_aaaaaaaaaa').key.publicKey).not.toBe(key.publicKey);
  });

  it('L6 that are none are refused without what they hold', () => {
    const user = new TextDecoder().decode(createUser().getSeed());
    for (const text of ['canary-no-seed', user, `${user.slice(0, -1)}A`, '']) {
      expect(() => nkeyOf(new Secret(text), 'A', 'accountKey')).toThrow(
        /^accountKey is no seed of an account \(SA…\)$/,
      );
    }
    expect(isSignedBy('nonsense', bytes, Buffer.alloc(64))).toBe(false);
  });
});

describe('a JWT of NATS', () => {
  it('is one that @nats-io/jwt reads, and is read where its own key signed it', async () => {
    const key = nkeyOf(new Secret(createAccount().getSeed()), 'A', 'x');
    const jwt = await signJwt({ name: 'n', sub: key.publicKey, aud: 'NATS', nats: { type: 'user' } }, key);
    expect(decode(jwt)).toMatchObject({ name: 'n', iss: key.publicKey });
    expect(readJwt(jwt)).toMatchObject({ name: 'n', iss: key.publicKey, nats: { version: 2 } });
    const [head, body = '', signature] = jwt.split('.');
    const forged = Buffer.from(Buffer.from(body, 'base64url').toString().replace('"n"', '"m"')).toString('base64url');
    expect(() => readJwt(`${head}.${forged}.${signature}`)).toThrow(/not signed by/);
    expect(() => readJwt(`${head}.${body}.${signature}.x`)).toThrow(/no JWT of NATS 2/);
    expect(() => readJwt('nonsense')).toThrow();
  });
});

describe('the NATS issuer', () => {
  const settings = natsCredential.parse({
    servers: ['nats://127.0.0.1:1'],
    operator: createOperator().getPublicKey(),
    account: createAccount().getPublicKey(),
    accountKey: 'a',
    operatorKey: 'o',
    systemCredentials: 's',
  });
  const issuer = () =>
    createNatsIssuer({
      ...settings,
      accountKey: async () => new Secret(createAccount().getSeed()),
      operatorKey: async () => new Secret(createOperator().getSeed()),
      systemCredentials: async () => new Secret('canary-system-creds'),
      clock: Date.now,
      revokeWithinMs: 2_000,
    });

  it('fails closed where no server answers: it gives nothing out that it could not revoke, and claims no revoke', async () => {
    const made = issuer();
    const lease = newLease(made);
    const ask = { resources: ['orders.>'], actionClasses: ['read' as const] };
    await expect(made.issue({ ...requestFor(lease, AbortSignal.timeout(5_000)), ...ask })).rejects.toMatchObject({
      code: 'ERR_CREDENTIAL_ISSUE',
      where: '127.0.0.1:1',
      hint: expect.stringMatching(/.+/),
    });
    await expect(made.revoke(lease, undefined)).rejects.toMatchObject({
      code: 'ERR_CREDENTIAL_REVOKE',
      hint: expect.stringMatching(/.+/),
    });
    await made.close();
  });

  it('touches nothing whose name is none of ours', async () => {
    const made = issuer();
    await expect(made.revoke({ ...newLease(made), tag: 'someone' }, undefined)).rejects.toMatchObject({
      code: 'ERR_CREDENTIAL_REVOKE',
    });
    await made.close();
  });

  it.each([
    ['operator', 'AABC'],
    ['account', createOperator().getPublicKey()],
    ['servers', ['http://127.0.0.1:4222']],
    // The library would take it for plain.
    ['servers', ['tls://127.0.0.1:4222']],
    ['sources', ['everywhere']],
  ])('is not configured with %s: %j', (name, value) => {
    expect(natsCredential.safeParse({ ...settings, [name]: value }).success).toBe(false);
  });
});
