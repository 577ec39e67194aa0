import { createPublicKey, hash, type KeyObject, verify } from 'node:crypto';
import type { JournalSigner } from './ed25519-signer.ts';

/**
 * Signed notes (https://c2sp.org/signed-note) with one Ed25519 signature. All text here is `latin1`, so that a string's
 * length is its length in the file and no byte is lost in decoding.
 */

const ED25519 = 0x01;
/** `— ` in UTF-8, as latin1. */
const DASH = '\u00e2\u0080\u0094 ';
/** Base64 of 4 bytes of key hash and 64 of signature. */
const SIGNATURE_LENGTH = 92;

/** A public key with its name, parsed from or printable as a vkey. */
export interface Verifier {
  readonly name: string;
  /** `name+hash+key`: C2SP vkey text. */
  readonly text: string;
  readonly keyHash: Buffer;
  readonly key: KeyObject;
}

/** Names are printable ASCII without `+`: what signed-note allows, minus what would need Unicode tables. */
export function isKeyName(name: string): boolean {
  return /^[!-*,-~]{1,255}$/.test(name);
}

export function createVerifier(name: string, publicKey: Buffer): Verifier {
  const typed = Buffer.concat([Buffer.of(ED25519), publicKey]);
  const keyHash = hash('sha256', Buffer.concat([Buffer.from(`${name}\n`, 'latin1'), typed]), 'buffer').subarray(0, 4);
  const jwk = { kty: 'OKP', crv: 'Ed25519', x: publicKey.toString('base64url') };
  return {
    name,
    text: `${name}+${keyHash.toString('hex')}+${typed.toString('base64')}`,
    keyHash,
    key: createPublicKey({ key: jwk, format: 'jwk' }),
  };
}

/** Undefined when the text is not exactly one Ed25519 vkey. */
export function parseVerifier(text: string): Verifier | undefined {
  const [, name, , encoded] = /^([^+]+)\+([0-9a-f]{8})\+(.+)$/.exec(text) ?? [];
  if (name === undefined || encoded === undefined || !isKeyName(name)) return undefined;
  const typed = Buffer.from(encoded, 'base64');
  if (typed.length !== 33 || typed[0] !== ED25519) return undefined;
  const verifier = createVerifier(name, typed.subarray(1));
  // Compared whole: base64 and hexadecimal have several spellings of one value, a vkey has one.
  return verifier.text === text ? verifier : undefined;
}

/** @param text ends with a newline and holds no blank line */
export function signNote(text: string, verifier: Verifier, signer: JournalSigner): string {
  const signature = Buffer.concat([verifier.keyHash, signer.sign(Buffer.from(text, 'latin1'))]);
  return `${text}\n${signatureLine(verifier.name, signature.toString('base64'))}`;
}

/** Whether `line` is this key's signature line, newline included, over `text`. */
export function isSignedBy(verifier: Verifier, text: string, line: string): boolean {
  const encoded = line.slice(DASH.length + verifier.name.length + 1, -1);
  const signature = Buffer.from(encoded, 'base64');
  if (signature.length !== 68 || !signature.subarray(0, 4).equals(verifier.keyHash)) return false;
  // Rebuilt and compared whole: Node's base64 decoder forgives what must not change unseen.
  if (signatureLine(verifier.name, signature.toString('base64')) !== line) return false;
  return verify(null, Buffer.from(text, 'latin1'), verifier.key, signature.subarray(4));
}

/** Length of a note's end: blank line and signature line. */
export function signatureEndLength(name: string): number {
  return 1 + DASH.length + name.length + 1 + SIGNATURE_LENGTH + 1;
}

function signatureLine(name: string, encoded: string): string {
  return `${DASH}${name} ${encoded}\n`;
}
