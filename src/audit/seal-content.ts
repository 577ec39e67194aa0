import { createCipheriv, createDecipheriv } from 'node:crypto';
import { RemitError } from '../domain/errors.ts';
import type { RandomBytes, TaskId, TenantId } from '../domain/ids.ts';
import type { SealedContent } from '../domain/record.ts';

/**
 * Decision inputs are kept as AES-256-GCM ciphertext under a key of their task: the log's hashes cover the ciphertext, so
 * erasing the key makes them unreadable and breaks nothing (A5). Moved to another record, they do not open: tenant, task
 * and span are authenticated with them.
 */
export interface ContentContext {
  readonly tenant: TenantId;
  readonly task: TaskId;
  readonly span: string;
}

/** A key of one task, 32 bytes, under the name that finds it again. */
export interface ContentKey {
  readonly name: string;
  readonly bytes: Buffer;
}

/**
 * @param random gives the 96-bit IV. NIST SP 800-38D §8.2.2 allows 2^32 random ones under one key; a task's call budget
 * ends far below.
 */
export function sealContent(
  text: string,
  context: ContentContext,
  key: ContentKey,
  random: RandomBytes,
): SealedContent {
  const iv = random(12);
  const cipher = createCipheriv('aes-256-gcm', key.bytes, iv);
  cipher.setAAD(contextBytes(context));
  // GCM gives all of its output at once: `final` only makes the tag, and text decoders of the cipher's own cost more than they give.
  const ciphertext = cipher.update(text, 'utf8');
  cipher.final();
  return {
    key: key.name,
    iv: base64(iv),
    ciphertext: ciphertext.toString('base64'),
    tag: cipher.getAuthTag().toString('base64'),
  };
}

const base64 = (bytes: Uint8Array): string =>
  Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('base64');

/** @throws `ERR_VAULT_KEY_WRONG` (another key, another record's content, or changed content) */
export function openContent(sealed: SealedContent, context: ContentContext, key: ContentKey): string {
  try {
    const tag = Buffer.from(sealed.tag, 'base64');
    const iv = Buffer.from(sealed.iv, 'base64');
    const decipher = createDecipheriv('aes-256-gcm', key.bytes, iv, { authTagLength: 16 });
    decipher.setAAD(contextBytes(context));
    decipher.setAuthTag(tag);
    return decipher.update(sealed.ciphertext, 'base64', 'utf8') + decipher.final('utf8');
  } catch (cause) {
    throw new RemitError('ERR_VAULT_KEY_WRONG', 'the sealed decision input does not open', {
      where: `task ${context.task}, span ${context.span}, key ${sealed.key}`,
      hint: 'It opens only with the key of its own task, and not at all once that was erased.',
      cause,
    });
  }
}

/** `tenant|task|span`: none of the three alphabets holds a bar. */
function contextBytes({ tenant, task, span }: ContentContext): Buffer {
  return Buffer.from(`${tenant}|${task}|${span}`, 'utf8');
}
