import { createCipheriv, createDecipheriv, randomBytes } from 'node:crypto';
import type { KeyProvider } from '../../seams/key-provider.ts';

const IV_BYTES = 12;
const TAG_BYTES = 16;

/**
 * What providers share whose key this process can hold: AES-256-GCM (NIST SP 800-38D) with the context as associated data. A wrapped key is
 * `iv (12) | key (32) | tag (16)`. The IV is random: one key may wrap 2^32 data keys (§8.3). `src/secrets/seal-bytes.ts` does the same for
 * content; an adapter imports no feature, and what is below both no crypto.
 * @param load reads the key, 32 bytes; called once, at the first use, and again after it failed, so that mending it needs no restart
 */
export function createLocalKeyProvider(keyId: string, load: () => Promise<Buffer>): KeyProvider {
  let loaded: Promise<Buffer> | undefined;
  async function key(): Promise<Buffer> {
    loaded ??= load();
    try {
      return await loaded;
    } catch (error) {
      loaded = undefined;
      throw error;
    }
  }

  return {
    keyId,
    async wrap(dataKey, context) {
      const iv = randomBytes(IV_BYTES);
      const cipher = createCipheriv('aes-256-gcm', await key(), iv, { authTagLength: TAG_BYTES }).setAAD(context);
      return Buffer.concat([iv, cipher.update(dataKey), cipher.final(), cipher.getAuthTag()]);
    },
    async unwrap(wrapped, context) {
      const kek = await key();
      const end = wrapped.length - TAG_BYTES;
      if (end <= IV_BYTES) return undefined;
      const iv = wrapped.subarray(0, IV_BYTES);
      const decipher = createDecipheriv('aes-256-gcm', kek, iv, { authTagLength: TAG_BYTES }).setAAD(context);
      decipher.setAuthTag(wrapped.subarray(end));
      const opened = decipher.update(wrapped.subarray(IV_BYTES, end));
      try {
        decipher.final();
        return opened;
      } catch {
        opened.fill(0);
        return undefined;
      }
    },
  };
}
