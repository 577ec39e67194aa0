import { createPrivateKey, createPublicKey, type KeyObject, sign } from 'node:crypto';
import type { RandomBytes } from '../../domain/ids.ts';

/** Signs tree heads. The private key stays with whoever made this. */
export interface JournalSigner {
  /** Raw Ed25519 public key, 32 bytes. */
  readonly publicKey: Buffer;
  /** Ed25519 signature, 64 bytes. */
  sign(data: Buffer): Buffer;
}

/** DER in front of a 32-byte seed: PrivateKeyInfo of RFC 8410 §7. */
const PKCS8_PREFIX = Buffer.from('302e020100300506032b657004220420', 'hex');

/** A new private key as PKCS #8 DER, 48 bytes: a secret, to be kept sealed. */
export function newSignerKey(random: RandomBytes): Buffer {
  return Buffer.concat([PKCS8_PREFIX, random(32)]);
}

/** @param key PKCS #8 DER, or a bare 32-byte seed */
export function ed25519Signer(key: Buffer): JournalSigner {
  const der = key.length === 32 ? Buffer.concat([PKCS8_PREFIX, key]) : key;
  const privateKey: KeyObject = createPrivateKey({ key: der, format: 'der', type: 'pkcs8' });
  if (privateKey.asymmetricKeyType !== 'ed25519') throw new TypeError('the journal signs with Ed25519 keys only');
  const { x } = createPublicKey(privateKey).export({ format: 'jwk' });
  return { publicKey: Buffer.from(x as string, 'base64url'), sign: (data) => sign(null, data, privateKey) };
}
