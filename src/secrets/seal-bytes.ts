import { createCipheriv, createDecipheriv } from 'node:crypto';
import type { RandomBytes } from '../domain/ids.ts';

const ALGORITHM = 'aes-256-gcm';
const IV_BYTES = 12;
const TAG_BYTES = 16;

/** What sealing adds, in bytes. */
export const SEAL_BYTES = IV_BYTES + TAG_BYTES;

/**
 * AES-256-GCM (NIST SP 800-38D) with a random nonce. Layout: `iv (12) | ciphertext | tag (16)`.
 * @param key 32 bytes
 * @param about associated data: what the content is good for, and nothing else
 * @param content a text as UTF-8
 */
export function sealBytes(key: Uint8Array, about: Buffer, content: string | Uint8Array, random: RandomBytes): Buffer {
  const iv = random(IV_BYTES);
  const cipher = createCipheriv(ALGORITHM, key, iv, { authTagLength: TAG_BYTES }).setAAD(about);
  const sealed = typeof content === 'string' ? cipher.update(content, 'utf8') : cipher.update(content);
  cipher.final();
  return Buffer.concat([iv, sealed, cipher.getAuthTag()]);
}

/** @returns the content; undefined for anything else than what was sealed under the same key, about the same */
export function openBytes(key: Uint8Array, about: Buffer, bytes: Uint8Array): Buffer | undefined {
  if (bytes.length < SEAL_BYTES) return undefined;
  const end = bytes.length - TAG_BYTES;
  const decipher = createDecipheriv(ALGORITHM, key, bytes.subarray(0, IV_BYTES), { authTagLength: TAG_BYTES });
  decipher.setAAD(about).setAuthTag(bytes.subarray(end));
  const opened = decipher.update(bytes.subarray(IV_BYTES, end));
  try {
    decipher.final();
    return opened;
  } catch {
    // What was not sealed so is nobody's to read.
    opened.fill(0);
    return undefined;
  }
}

/** The same of a text, which is never empty. */
export function openText(key: Uint8Array, about: Buffer, bytes: Uint8Array): string | undefined {
  return bytes.length === SEAL_BYTES ? undefined : openBytes(key, about, bytes)?.toString('utf8');
}
