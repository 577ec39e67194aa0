import { createCipheriv, createDecipheriv } from 'node:crypto';
import type { RandomBytes } from '../domain/ids.ts';

/**
 * Envelope encryption, AES-256-GCM twice (NIST SP 800-38D): content under a fresh data key (DEK), the data key under the
 * key-encryption key (KEK). Both are bound to tenant, name and version as associated data, so an envelope that was moved
 * to another row, another tenant or an older version does not open.
 *
 * Layout, version 1: `01 | KEK iv (12) | wrapped DEK (32) + tag (16) | content iv (12) | content (n) + tag (16)`.
 */

/** What an envelope belongs to. */
export interface EnvelopeRecord {
  readonly tenant: string;
  readonly name: string;
  readonly version: number;
}

const LAYOUT = 1;
const IV_BYTES = 12;
const TAG_BYTES = 16;
const KEY_BYTES = 32;
const WRAPPED_AT = 1 + IV_BYTES;
const CONTENT_IV_AT = WRAPPED_AT + KEY_BYTES + TAG_BYTES;
const CONTENT_AT = CONTENT_IV_AT + IV_BYTES;

/** Seals `content` for `record` under `kek` (32 bytes). */
export function sealEnvelope(
  kek: Uint8Array,
  record: EnvelopeRecord,
  content: Uint8Array,
  random: RandomBytes,
): Buffer {
  const dek = Buffer.from(random(KEY_BYTES));
  const kekIv = random(IV_BYTES);
  const contentIv = random(IV_BYTES);
  try {
    return Buffer.concat([
      Buffer.from([LAYOUT]),
      kekIv,
      encrypt(kek, kekIv, associatedData('wrap', record), dek),
      contentIv,
      encrypt(dek, contentIv, associatedData('content', record), content),
    ]);
  } finally {
    dek.fill(0);
  }
}

/** Content of an envelope, or undefined when it does not open: another key, another record, or altered bytes. */
export function openEnvelope(kek: Uint8Array, record: EnvelopeRecord, envelope: Uint8Array): Buffer | undefined {
  if (envelope.length < CONTENT_AT + TAG_BYTES || envelope[0] !== LAYOUT) return undefined;
  const wrapped = envelope.subarray(WRAPPED_AT, CONTENT_IV_AT);
  const dek = decrypt(kek, envelope.subarray(1, WRAPPED_AT), associatedData('wrap', record), wrapped);
  if (dek === undefined) return undefined;
  try {
    const iv = envelope.subarray(CONTENT_IV_AT, CONTENT_AT);
    return decrypt(dek, iv, associatedData('content', record), envelope.subarray(CONTENT_AT));
  } finally {
    dek.fill(0);
  }
}

/** Unambiguous: every text is preceded by its length in bytes, the version has a fixed width. */
function associatedData(purpose: 'wrap' | 'content', record: EnvelopeRecord): Buffer {
  const parts: Buffer[] = [];
  for (const text of [`remit/envelope/${LAYOUT}/${purpose}`, record.tenant, record.name]) {
    const bytes = Buffer.from(text, 'utf8');
    const length = Buffer.alloc(4);
    length.writeUInt32BE(bytes.length);
    parts.push(length, bytes);
  }
  const version = Buffer.alloc(8);
  version.writeBigUInt64BE(BigInt(record.version));
  return Buffer.concat([...parts, version]);
}

function encrypt(key: Uint8Array, iv: Uint8Array, aad: Uint8Array, content: Uint8Array): Buffer {
  const cipher = createCipheriv('aes-256-gcm', key, iv, { authTagLength: TAG_BYTES }).setAAD(aad);
  return Buffer.concat([cipher.update(content), cipher.final(), cipher.getAuthTag()]);
}

function decrypt(key: Uint8Array, iv: Uint8Array, aad: Uint8Array, sealed: Uint8Array): Buffer | undefined {
  const end = sealed.length - TAG_BYTES;
  const decipher = createDecipheriv('aes-256-gcm', key, iv, { authTagLength: TAG_BYTES }).setAAD(aad);
  decipher.setAuthTag(sealed.subarray(end));
  const opened = decipher.update(sealed.subarray(0, end));
  try {
    decipher.final();
    return opened;
  } catch {
    opened.fill(0);
    return undefined;
  }
}
