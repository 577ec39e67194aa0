import { createCipheriv, createDecipheriv, hkdfSync } from 'node:crypto';
import type { RandomBytes, TenantId } from '../domain/ids.ts';
import { isJsonObject, type JsonObject } from '../domain/json.ts';
import type { Clock } from '../seams/clock.ts';

/** Values that come back within a time, to whichever node: who has them can neither read nor change them. */
export interface SealedTexts {
  /**
   * @param about what a text is good for, and nothing else
   * @param ms so long it is good
   */
  seal(about: string, value: JsonObject, ms: number): string;
  /** Undefined for anything else than what was sealed about the same, in time. */
  open(about: string, text: string): JsonObject | undefined;
}

const IV_BYTES = 12;
const TAG_BYTES = 16;
const ALGORITHM = 'aes-256-gcm';

/** AES-256-GCM (NIST SP 800-38D) with random nonces, under a key of its own for each purpose. Layout: base64url(`iv (12) | ciphertext | tag (16)`). */
export function createSealedTexts(parts: {
  readonly tenant: TenantId;
  /** The one that all nodes have. */
  readonly stateKey: Buffer;
  /** What the key is derived for (HKDF, RFC 5869). */
  readonly purpose: string;
  /** Names the kind and version of what is sealed. */
  readonly label: string;
  readonly clock: Clock;
  readonly random: RandomBytes;
}): SealedTexts {
  const { tenant, stateKey, purpose, label, clock, random } = parts;
  const key = Buffer.from(hkdfSync('sha256', stateKey, '', purpose, 32));
  const boundTo = (about: string): Buffer => Buffer.from(JSON.stringify([label, tenant, about]));
  return {
    seal(about, value, ms) {
      const iv = random(IV_BYTES);
      const cipher = createCipheriv(ALGORITHM, key, iv, { authTagLength: TAG_BYTES }).setAAD(boundTo(about));
      const text = cipher.update(JSON.stringify([clock() + ms, value]), 'utf8');
      cipher.final();
      return Buffer.concat([iv, text, cipher.getAuthTag()]).toString('base64url');
    },
    open(about, text) {
      const bytes = Buffer.from(text, 'base64url');
      if (bytes.length <= IV_BYTES + TAG_BYTES) return undefined;
      // Exactly one text stands for each sealed value.
      if (bytes.toString('base64url') !== text) return undefined;
      const end = bytes.length - TAG_BYTES;
      const decipher = createDecipheriv(ALGORITHM, key, bytes.subarray(0, IV_BYTES), { authTagLength: TAG_BYTES });
      decipher.setAAD(boundTo(about)).setAuthTag(bytes.subarray(end));
      const opened = decipher.update(bytes.subarray(IV_BYTES, end));
      try {
        decipher.final();
      } catch {
        return undefined;
      }
      const [until, value] = JSON.parse(opened.toString('utf8')) as [number, unknown];
      return clock() < until && isJsonObject(value) ? value : undefined;
    },
  };
}
