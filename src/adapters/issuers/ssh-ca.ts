import { createPrivateKey, type KeyObject, sign } from 'node:crypto';
import sshpk from 'sshpk';
import type { Secret } from '../../domain/secret.ts';
import { ed25519Private } from './ed25519-key.ts';
import { mpint, text } from './ssh-wire.ts';

/** The key that servers trust users' certificates of (`TrustedUserCAKeys`). */
export interface SshCa {
  /** As SSH writes a public key (RFC 4253 section 6.6). */
  readonly publicKey: Buffer;
  /** As SSH writes a signature. */
  sign(bytes: Uint8Array): Buffer;
}

/**
 * Reads an OpenSSH or PEM private key without a passphrase: Ed25519, ECDSA of the NIST curves, RSA (signed with SHA-512, RFC 8332).
 * @throws without anything of the key in the message
 */
export function readSshCa(secret: Secret): SshCa {
  const key = parse(secret);
  const publicKey = key.toPublic().toBuffer('rfc4253', {});
  switch (key.type) {
    case 'ed25519': {
      const seed = partOf(key, 'k');
      const own = ed25519Private(seed.subarray(0, 32));
      return { publicKey, sign: (bytes) => signatureOf('ssh-ed25519', sign(null, bytes, own)) };
    }
    case 'rsa': {
      const own = nodeKeyOf(key);
      return { publicKey, sign: (bytes) => signatureOf('rsa-sha2-512', sign('sha512', bytes, own)) };
    }
    case 'ecdsa': {
      const own = nodeKeyOf(key);
      const { curve, hash } = CURVES[key.curve as keyof typeof CURVES] ?? {};
      if (curve === undefined) break;
      return {
        publicKey,
        sign(bytes) {
          const raw = sign(hash, bytes, { key: own, dsaEncoding: 'ieee-p1363' });
          const half = raw.length / 2;
          return signatureOf(curve, Buffer.concat([mpint(raw.subarray(0, half)), mpint(raw.subarray(half))]));
        },
      };
    }
    default:
  }
  throw new Error(`caKey is of a kind that signs no certificates here: ${key.type}`);
}

/** RFC 5656 section 6.2.1: which hash goes with which curve. */
const CURVES = {
  nistp256: { curve: 'ecdsa-sha2-nistp256', hash: 'sha256' },
  nistp384: { curve: 'ecdsa-sha2-nistp384', hash: 'sha384' },
  nistp521: { curve: 'ecdsa-sha2-nistp521', hash: 'sha512' },
} as const;

function parse(secret: Secret): sshpk.PrivateKey {
  try {
    return sshpk.parsePrivateKey(secret.reveal(), 'auto');
  } catch {
    throw new Error('caKey is no private key of SSH without a passphrase');
  }
}

function partOf(key: sshpk.PrivateKey, name: string): Buffer {
  const { part } = key as unknown as { part: Record<string, { data: Buffer } | undefined> };
  const data = part[name]?.data;
  if (data === undefined) throw new Error('caKey lacks its private part');
  return data;
}

function nodeKeyOf(key: sshpk.PrivateKey): KeyObject {
  return createPrivateKey(key.toString('pkcs8'));
}

function signatureOf(algorithm: string, signature: Uint8Array): Buffer {
  return Buffer.concat([text(algorithm), text(signature)]);
}
