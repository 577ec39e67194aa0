import { ed25519Private, ed25519PublicBytes } from './ed25519-key.ts';
import type { SshCa } from './ssh-ca.ts';
import { text, uint32, uint64 } from './ssh-wire.ts';

/** What one certificate says (OpenSSH PROTOCOL.certkeys). */
export interface SshCertificate {
  /** Of the user, Ed25519: 32 bytes. */
  readonly publicKey: Uint8Array;
  readonly serial: bigint;
  readonly keyId: string;
  /** Never empty: without principals it would be anybody's. */
  readonly principals: readonly string[];
  /** Seconds since the epoch; it is taken from the one on, and until before the other. */
  readonly validAfter: number;
  readonly validBefore: number;
  readonly forceCommand: string | undefined;
  readonly sourceAddresses: readonly string[];
  /** `permit-pty` and the like. */
  readonly permits: readonly string[];
  /** 32 random bytes. */
  readonly nonce: Uint8Array;
}

const TYPE = 'ssh-ed25519-cert-v01@openssh.com';
const USER = 1;

/** The line of a `-cert.pub` file. */
export function signCertificate(certificate: SshCertificate, ca: SshCa): string {
  const { principals, forceCommand, sourceAddresses } = certificate;
  if (principals.length === 0) throw new Error('a certificate without principals would be anybody’s');
  // In the order of their names, as verifiers may demand.
  const options = [
    ...(forceCommand === undefined ? [] : [text('force-command'), text(text(forceCommand))]),
    ...(sourceAddresses.length === 0 ? [] : [text('source-address'), text(text(sourceAddresses.join(',')))]),
  ];
  const permits = [...certificate.permits].sort().flatMap((name) => [text(name), text('')]);
  const body = Buffer.concat([
    text(TYPE),
    text(certificate.nonce),
    text(certificate.publicKey),
    uint64(certificate.serial),
    uint32(USER),
    text(certificate.keyId),
    text(Buffer.concat(principals.map(text))),
    uint64(BigInt(certificate.validAfter)),
    uint64(BigInt(certificate.validBefore)),
    text(Buffer.concat(options)),
    text(Buffer.concat(permits)),
    text(''),
    text(ca.publicKey),
  ]);
  return `${TYPE} ${Buffer.concat([body, text(ca.sign(body))]).toString('base64')} ${certificate.keyId}`;
}

/** A user's key out of 32 random bytes, and the file that OpenSSH keeps one in (PROTOCOL.key), without a passphrase. */
export function createUserKey(seed: Uint8Array, comment: string): { publicKey: Buffer; file: Buffer } {
  const publicKey = ed25519PublicBytes(ed25519Private(seed));
  const blob = Buffer.concat([text('ssh-ed25519'), text(publicKey)]);
  const pair = Buffer.concat([seed, publicKey]);
  // Two equal numbers tell whoever decrypts it that the passphrase was right; there is none.
  const inner = Buffer.concat([uint32(0), uint32(0), blob, text(pair), text(comment)]);
  const padding = Buffer.from(Array.from({ length: (8 - (inner.length % 8)) % 8 }, (_, at) => at + 1));
  const whole = Buffer.concat([
    Buffer.from('openssh-key-v1\0'),
    text('none'),
    text('none'),
    text(''),
    uint32(1),
    text(blob),
    text(Buffer.concat([inner, padding])),
  ]);
  const lines = whole.toString('base64').match(/.{1,70}/g) ?? [];
  for (const part of [pair, inner, whole]) part.fill(0);
  const file = ['-----BEGIN OPENSSH PRIVATE KEY-----', ...lines, '-----END OPENSSH PRIVATE KEY-----', ''].join('\n');
  return { publicKey, file: Buffer.from(file) };
}
