import { Buffer } from 'node:buffer';
import { createHmac } from 'node:crypto';
import {
  type CryptoKey,
  exportJWK,
  exportSPKI,
  generateKeyPair,
  type JWTHeaderParameters,
  type JWTPayload,
  SignJWT,
} from 'jose';
import { beforeEach, describe, expect, it } from 'vitest';
import type { Principal } from '../../src/domain/principal.ts';
import { isRefused, type Refused } from '../../src/domain/refusal.ts';
import type { Authenticator } from '../../src/seams/authenticator.ts';

/** What the suite needs of an authenticator that accepts JWTs signed with ES256. */
export interface AuthenticatorHarness {
  readonly authenticator: Authenticator;
  /** The key that signs good tokens, and its `kid`. */
  readonly privateKey: CryptoKey;
  readonly publicKey: CryptoKey;
  readonly kid: string;
  /** Claims of a good token that lives `lifeSeconds` from the harness's present time. */
  claims(lifeSeconds?: number): JWTPayload;
  /** The principal that those claims make. */
  readonly principal: Omit<Principal, 'tokenId' | 'tokenExpiresAt'>;
  /** Moves the harness's clock. */
  advance(seconds: number): void;
}

/** Conformance of an `Authenticator`: it accepts a good token, refuses all others with a reason, and never throws. */
export function authenticatorSuite(name: string, make: () => Promise<AuthenticatorHarness>): void {
  describe(`authenticator ${name}`, () => {
    let harness: AuthenticatorHarness;
    beforeEach(async () => {
      harness = await make();
    });

    const sign = (claims: JWTPayload, header: Partial<JWTHeaderParameters> = {}, key = harness.privateKey) =>
      new SignJWT(claims).setProtectedHeader({ alg: 'ES256', typ: 'at+jwt', kid: harness.kid, ...header }).sign(key);
    const present = async (token: string): Promise<Principal | Refused> =>
      harness.authenticator.authenticate(`Bearer ${token}`);

    async function expectRefusal(authorization: string | undefined, reason: RegExp): Promise<void> {
      const answer = await harness.authenticator.authenticate(authorization);
      expect(isRefused(answer) ? answer.refusal : answer).toMatchObject({
        kind: 'unauthenticated',
        error: authorization === undefined || authorization === '' ? 'missing_token' : 'invalid_token',
        reason: expect.stringMatching(reason),
      });
      const token = authorization?.slice('Bearer '.length);
      if (token) expect(JSON.stringify(answer), 'a token in a reason').not.toContain(token.slice(0, 30));
    }

    it('makes the principal of a good token, the first time and again', async () => {
      const claims = harness.claims(300);
      const token = await sign(claims);
      const expected = { ...harness.principal, tokenId: claims.jti, tokenExpiresAt: Number(claims.exp) * 1000 };
      expect(await present(token)).toEqual(expected);
      expect(await present(token)).toEqual(expected);
      expect(await harness.authenticator.authenticate(`bearer ${token}`)).toEqual(expected);
    });

    it('refuses a request without a token, with an error of its own', async () => {
      await expectRefusal(undefined, /no token/);
      await expectRefusal('', /no token/);
    });

    it.each([
      ['another scheme', 'Basic YWxpY2U6c2VjcmV0'],
      ['no token after the scheme', 'Bearer '],
      ['words', 'Bearer not a token at all, only words'],
      ['two parts', 'Bearer aaaaaaaaaa.bbbbbbbbbb'],
      ['five parts (encrypted)', 'Bearer aaaa.bbbb.cccc.dddd.eeee'],
      ['parts that are not JSON', 'Bearer aaaaaaaa.bbbbbbbb.cccccccc'],
      ['an oversized token', `Bearer aaaaaaaa.${'b'.repeat(200_000)}.cccccccc`],
      ['two tokens in one header', 'Bearer aaaa.bbbb.cccc, Bearer aaaa.bbbb.cccc'],
    ])('refuses %s as malformed', async (_title, authorization) => {
      await expectRefusal(authorization, /malformed/);
    });

    it('refuses an altered payload', async () => {
      const [header, , signature] = (await sign(harness.claims())).split('.');
      const payload = Buffer.from(JSON.stringify({ ...harness.claims(), sub: 'root' })).toString('base64url');
      await expectRefusal(`Bearer ${header}.${payload}.${signature}`, /not signed by a key/);
    });

    it('refuses another key, under the right kid and under its own', async () => {
      const { privateKey } = await generateKeyPair('ES256');
      await expectRefusal(`Bearer ${await sign(harness.claims(), {}, privateKey)}`, /not signed by a key/);
      await expectRefusal(`Bearer ${await sign(harness.claims(), { kid: 'mine' }, privateKey)}`, /not signed by a key/);
    });

    it('refuses a key that the token itself brings', async () => {
      const { privateKey, publicKey } = await generateKeyPair('ES256', { extractable: true });
      const token = await sign(harness.claims(), { kid: 'mine', jwk: await exportJWK(publicKey) }, privateKey);
      await expectRefusal(`Bearer ${token}`, /not signed by a key/);
    });

    it('refuses alg none', async () => {
      const part = (value: object): string => Buffer.from(JSON.stringify(value)).toString('base64url');
      const head = part({ alg: 'none', typ: 'at+jwt', kid: harness.kid });
      await expectRefusal(`Bearer ${head}.${part(harness.claims())}.`, /malformed|ES256/);
      await expectRefusal(`Bearer ${head}.${part(harness.claims())}.AAAA`, /malformed|ES256/);
    });

    it('refuses HS256 keyed with the public key', async () => {
      const secret = await exportSPKI(harness.publicKey);
      const part = (value: object): string => Buffer.from(JSON.stringify(value)).toString('base64url');
      const signed = `${part({ alg: 'HS256', typ: 'at+jwt', kid: harness.kid })}.${part(harness.claims())}`;
      const mac = createHmac('sha256', secret).update(signed).digest('base64url');
      await expectRefusal(`Bearer ${signed}.${mac}`, /ES256/);
    });

    it.each(['JWT', 'client-authentication+jwt', 'logout+jwt', undefined])('refuses typ %s', async (typ) => {
      const header: JWTHeaderParameters = { alg: 'ES256', kid: harness.kid, ...(typ !== undefined && { typ }) };
      const token = await new SignJWT(harness.claims()).setProtectedHeader(header).sign(harness.privateKey);
      await expectRefusal(`Bearer ${token}`, /not an access token/);
    });

    it('refuses an unknown critical header', async () => {
      const [, payload, signature] = (await sign(harness.claims())).split('.');
      const head = { alg: 'ES256', typ: 'at+jwt', kid: harness.kid, exotic: 1, crit: ['exotic'] };
      const forged = Buffer.from(JSON.stringify(head)).toString('base64url');
      await expectRefusal(`Bearer ${forged}.${payload}.${signature}`, /malformed/);
    });

    it('refuses another audience, also beside the right one', async () => {
      const claims = harness.claims();
      await expectRefusal(
        `Bearer ${await sign({ ...claims, aud: 'https://elsewhere.example/mcp' })}`,
        /another audience/,
      );
      const both = [String(claims.aud), 'https://elsewhere.example/mcp'];
      await expectRefusal(`Bearer ${await sign({ ...claims, aud: both })}`, /another audience/);
      await expectRefusal(`Bearer ${await sign({ ...claims, aud: `${claims.aud}/` })}`, /another audience/);
    });

    it('refuses another issuer', async () => {
      await expectRefusal(
        `Bearer ${await sign({ ...harness.claims(), iss: 'https://evil.example' })}`,
        /another issuer/,
      );
    });

    it('refuses an expired token, also one that it had accepted', async () => {
      const token = await sign(harness.claims(60));
      expect(isRefused(await present(token))).toBe(false);
      harness.advance(59);
      expect(isRefused(await present(token))).toBe(false);
      harness.advance(7);
      await expectRefusal(`Bearer ${token}`, /expired/);
      await expectRefusal(`Bearer ${await sign(harness.claims(-10))}`, /expired/);
    });

    it('refuses a token from the future', async () => {
      const claims = harness.claims(300);
      const now = Number(claims.iat);
      await expectRefusal(`Bearer ${await sign({ ...claims, nbf: now + 60 })}`, /not valid yet/);
      await expectRefusal(`Bearer ${await sign({ ...claims, iat: now + 60 })}`, /future/);
    });

    it.each(['exp', 'iat', 'jti', 'sub', 'client_id', 'iss', 'aud'])('refuses a token without %s', async (claim) => {
      const { [claim]: _left, ...claims } = harness.claims();
      await expectRefusal(`Bearer ${await sign(claims)}`, /malformed|audience|issuer/);
    });

    it.each([
      ['exp as text', { exp: '9999999999' }],
      ['sub as a number', { sub: 7 }],
      ['jti as an object', { jti: { a: 1 } }],
    ])('refuses %s', async (_title, change) => {
      await expectRefusal(
        `Bearer ${await sign({ ...harness.claims(), ...change } as unknown as JWTPayload)}`,
        /malformed/,
      );
    });
  });
}
