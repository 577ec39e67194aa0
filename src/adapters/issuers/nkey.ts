import { createHmac, sign, verify } from 'node:crypto';
import type { Secret } from '../../domain/secret.ts';
import { ed25519Private, ed25519Public, ed25519PublicBytes } from './ed25519-key.ts';

/**
 * Keys of NATS: Ed25519 behind a byte or two that say what they are, and CRC-16, in base32 without padding (RFC 4648 section 6). `@nats-io/nkeys`
 * reads the same in JavaScript alone: 12 ms a signature and 24 ms a verification of the event loop that calls go through, against
 * 0.1 ms here.
 */
export interface Nkey {
  /** `A…`, `O…` or `U…`. */
  readonly publicKey: string;
  sign(bytes: Uint8Array): Uint8Array;
}

/** The first letter of a key, by its value in the codec. */
const KINDS = { A: 0 << 3, O: 14 << 3, U: 20 << 3 } as const;
export type NkeyKind = keyof typeof KINDS;
const SEED = 18 << 3;

/** @throws without the seed in the message */
export function nkeyOf(seed: Secret, kind: NkeyKind, where: string): Nkey {
  const text = seed.revealBytes();
  const bytes = decode(text.toString('latin1').trim());
  text.fill(0);
  const raw = bytes?.length === 34 && isSeedOf(bytes, kind) ? bytes.subarray(2) : undefined;
  const key = raw === undefined ? undefined : nkeyOfRaw(raw, kind);
  bytes?.fill(0);
  if (key !== undefined) return key;
  throw new Error(`${where} is no seed of ${kind === 'A' ? 'an account' : 'an operator'} (S${kind}…)`);
}

/**
 * The key of a lease's user, made of the lease's tag and the account's signing key: whoever has the row and the vault knows whom to revoke, also
 * where a crash lost what the issue gave (guarantee L2). Nobody else does, and who holds the signing key can make any user anyway.
 */
export function deriveUser(accountSeed: Secret, tag: string): { readonly key: Nkey; readonly seed: Buffer } {
  const bytes = accountSeed.revealBytes();
  const raw = createHmac('sha256', bytes).update(`remit nats user\0${tag}`).digest();
  bytes.fill(0);
  const key = nkeyOfRaw(raw, 'U');
  const head = Buffer.from([SEED | (KINDS.U >> 5), (KINDS.U & 31) << 3]);
  const seed = Buffer.from(encode(Buffer.concat([head, raw])), 'latin1');
  raw.fill(0);
  return { key, seed };
}

/** Whether `signature` over `bytes` is one of that public key. False for what is none. */
export function isSignedBy(publicKey: string, bytes: Uint8Array, signature: Uint8Array): boolean {
  const decoded = decode(publicKey);
  if (decoded === undefined || decoded.length !== 33) return false;
  return verify(null, bytes, ed25519Public(decoded.subarray(1)), signature);
}

function nkeyOfRaw(raw: Uint8Array, kind: NkeyKind): Nkey {
  const key = ed25519Private(raw);
  return {
    publicKey: encode(Buffer.concat([Buffer.from([KINDS[kind]]), ed25519PublicBytes(key)])),
    sign: (bytes) => sign(null, bytes, key),
  };
}

function isSeedOf([first = 0, second = 0]: Uint8Array, kind: NkeyKind): boolean {
  return (first & 0xf8) === SEED && (((first & 7) << 5) | (second >> 3)) === KINDS[kind];
}

const ALPHABET = 'ABCDEFGHIJKLMNOPQRSTUVWXYZ234567';

function encode(payload: Uint8Array): string {
  const bytes = Buffer.alloc(payload.length + 2);
  bytes.set(payload);
  bytes.writeUInt16LE(crc16(payload), payload.length);
  let text = '';
  let [held, bits] = [0, 0];
  for (const byte of bytes) {
    held = ((held << 8) | byte) & 0xfff;
    for (bits += 8; bits >= 5; bits -= 5) text += ALPHABET[(held >> (bits - 5)) & 31];
  }
  bytes.fill(0);
  return bits === 0 ? text : text + ALPHABET[(held << (5 - bits)) & 31];
}

/** Without the checksum; undefined where it does not hold. */
function decode(text: string): Buffer | undefined {
  const bytes = Buffer.alloc(Math.floor((text.length * 5) / 8));
  let [held, bits, at] = [0, 0, 0];
  for (const letter of text) {
    const value = ALPHABET.indexOf(letter);
    if (value === -1) return undefined;
    held = ((held << 5) | value) & 0xfff;
    bits += 5;
    if (bits < 8) continue;
    bits -= 8;
    bytes[at++] = (held >> bits) & 0xff;
  }
  if (bytes.length < 3) return undefined;
  const payload = bytes.subarray(0, -2);
  return crc16(payload) === bytes.readUInt16LE(payload.length) ? payload : undefined;
}

/** CRC-16/XMODEM. */
function crc16(bytes: Uint8Array): number {
  let crc = 0;
  for (const byte of bytes) {
    crc ^= byte << 8;
    for (let bit = 0; bit < 8; bit++) crc = crc & 0x8000 ? ((crc << 1) ^ 0x1021) & 0xffff : (crc << 1) & 0xffff;
  }
  return crc;
}
