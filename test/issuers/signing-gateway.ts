import {
  type CryptoKey,
  createLocalJWKSet,
  exportJWK,
  generateKeyPair,
  importJWK,
  type JWK,
  type JWTVerifyGetKey,
  SignJWT,
} from 'jose';
import type { SignAssertion } from '../../src/adapters/issuers/agent-assertion.ts';

/** A key like the gateway's for connectors, and the gateway's name. */
export interface SigningGateway {
  readonly url: string;
  readonly sign: SignAssertion;
  readonly publicKeys: readonly JWK[];
  /** As a verifier that has read the key set finds a key. */
  readonly keys: JWTVerifyGetKey;
  readonly verificationKey: CryptoKey;
  clientKey(): Promise<{ key: CryptoKey; kid: string }>;
}

export async function createSigningGateway(url = 'https://remit.example.com'): Promise<SigningGateway> {
  const { privateKey, publicKey } = await generateKeyPair('ES256', { extractable: true });
  const kid = 'connector-1';
  const jwk = { ...(await exportJWK(publicKey)), kid, alg: 'ES256', use: 'sig' };
  const key = (await importJWK(await exportJWK(privateKey), 'ES256')) as CryptoKey;
  return {
    url,
    sign: (claims, typ) =>
      new SignJWT({ iss: url, ...claims }).setProtectedHeader({ alg: 'ES256', typ, kid }).sign(key),
    publicKeys: [jwk],
    verificationKey: publicKey,
    keys: createLocalJWKSet({ keys: [jwk] }),
    clientKey: async () => ({ key, kid }),
  };
}
