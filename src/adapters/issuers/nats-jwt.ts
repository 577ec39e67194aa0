import { Algorithms, type ClaimsData, encode, type KeyPair } from '@nats-io/jwt';
import { isSignedBy, type Nkey } from './nkey.ts';

/** A NATS JWT, signed by `key`; `iss`, `iat` and `jti` are set. */
export function signJwt<T>(claims: Omit<ClaimsData<T>, 'iss' | 'iat' | 'jti'>, key: Nkey): Promise<string> {
  // All that the library asks of a pair here; its own would sign in JavaScript alone.
  const pair = { getPublicKey: () => key.publicKey, sign: (bytes: Uint8Array) => key.sign(bytes) };
  return encode(Algorithms.v2, claims as ClaimsData<unknown>, pair as KeyPair);
}

/** The claims of a NATS JWT that the key which it names has signed. @throws for anything else */
export function readJwt<T>(jwt: string): ClaimsData<T> {
  const [head = '', body = '', signature = '', ...more] = jwt.trim().split('.');
  const header = parse(head) as { alg?: unknown };
  const claims = parse(body) as ClaimsData<T>;
  if (more.length > 0 || header?.alg !== Algorithms.v2) throw new Error('it is no JWT of NATS 2');
  if (!isSignedBy(String(claims.iss), Buffer.from(`${head}.${body}`), Buffer.from(signature, 'base64url'))) {
    throw new Error('it is not signed by the key that it names');
  }
  return claims;
}

function parse(part: string): unknown {
  return JSON.parse(Buffer.from(part, 'base64url').toString('utf8'));
}
