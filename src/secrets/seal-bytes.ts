import { createCipheriv, createDecipheriv } from 'node:crypto';

const ALGORITHM = 'aes-256-gcm';
const IV_BYTES = 12;
const TAG_BYTES = 16;

/** What sealing adds, in bytes. */
export const SEAL_BYTES = IV_BYTES + TAG_BYTES;

/**
 * AES-256-GCM (NIST SP 800-38D) with a random nonce. Layout: `iv (12) | ciphertext | tag (16)`.
 * @param key 32 bytes
 * @param about associated data: what the text is good for, and nothing else
 */
export function sealBytes(key: Buffer, about: Buffer, text: string, random: (size: number) => Uint8Array): Buffer {
  const iv = random(IV_BYTES);
  const cipher = createCipheriv(ALGORITHM, key, iv, { authTagLength: TAG_BYTES }).setAAD(about);
  const sealed = cipher.update(text, 'utf8');
  cipher.final();
  return Buffer.concat([iv, sealed, cipher.getAuthTag()]);
}

/** @returns the text; undefined for anything else than what was sealed under the same key, about the same */
export function openBytes(key: Buffer, about: Buffer, bytes: Buffer): string | undefined {
  if (bytes.length <= SEAL_BYTES) return undefined;
  const end = bytes.length - TAG_BYTES;
  const decipher = createDecipheriv(ALGORITHM, key, bytes.subarray(0, IV_BYTES), { authTagLength: TAG_BYTES });
  decipher.setAAD(about).setAuthTag(bytes.subarray(end));
  const opened = decipher.update(bytes.subarray(IV_BYTES, end));
  try {
    decipher.final();
  } catch {
    return undefined;
  }
  return opened.toString('utf8');
}
