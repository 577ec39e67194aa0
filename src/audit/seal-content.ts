import { type Cipher, createCipheriv, createDecipheriv, createHmac, hash, timingSafeEqual } from 'node:crypto';
import { RemitError } from '../domain/errors.ts';
import type { RandomBytes, TaskId } from '../domain/ids.ts';
import type { SealedContent } from '../domain/record.ts';

/** Which record a content belongs to. */
export interface ContentContext {
  readonly task: TaskId;
  readonly span: string;
}

/** A key of one task, 32 bytes, under the name that finds it again. */
export interface ContentKey {
  readonly name: string;
  readonly bytes: Buffer;
}

/**
 * Decision inputs are kept as ciphertext under a key of their task: the log's hashes cover the ciphertext and a commitment, so erasing the key
 * makes them unreadable, and breaks nothing (A5).
 *
 * AES-256 in counter mode (NIST SP 800-38A §6.5): one keystream for each run of a gateway under a task, of which every content takes the next
 * piece. What counter mode lacks is there twice: the tree covers each record as it was written, and the commitment tells whether what came out
 * is what went in. A cipher of its own for each content, with a tag, costs four times as much.
 *
 * Seals the contents of one task, in turn. Holds the key for as long as it lives.
 */
export interface ContentSealer {
  /** @param text JSON text, or any other */
  seal(text: string): SealedContent;
}

const NONCE_BYTES = 12;
const BLOCK_BYTES = 16;
/** A stream ends long before its 32-bit block counter (64 GiB) would. */
const MOST_STREAM_BYTES = 2 ** 32;

/** @param random gives the 96-bit nonce of each stream; two streams of one key never share one but by a chance of 2^−96 a pair */
export function createContentSealer(key: ContentKey, random: RandomBytes): ContentSealer {
  const salt = saltOf(key.bytes);
  let stream: { readonly cipher: Cipher; readonly nonce: string } | undefined;
  let at = 0;
  return {
    seal(text) {
      if (stream === undefined || at > MOST_STREAM_BYTES) {
        const nonce = Buffer.from(random(NONCE_BYTES));
        stream = { cipher: createCipheriv('aes-256-ctr', key.bytes, counterBlock(nonce, 0)), nonce: base64(nonce) };
        at = 0;
      }
      const start = at;
      const ciphertext = stream.cipher.update(text, 'utf8');
      at += ciphertext.length;
      const digest = commitment(salt, text);
      return { key: key.name, stream: stream.nonce, at: start, digest, ciphertext: base64(ciphertext) };
    },
  };
}

/**
 * @param context of the record, for the error
 * @throws `ERR_VAULT_KEY_WRONG` (another key, or changed content)
 */
export function openContent(sealed: SealedContent, context: ContentContext, key: ContentKey): string {
  try {
    return openPiece(sealed, key);
  } catch (cause) {
    throw new RemitError('ERR_VAULT_KEY_WRONG', 'the sealed decision input does not open', {
      where: `task ${context.task}, span ${context.span}, key ${sealed.key}`,
      hint: 'It opens only with the key of its own task, and not at all once that was erased.',
      cause,
    });
  }
}

function openPiece({ stream, at, digest, ciphertext }: SealedContent, key: ContentKey): string {
  const nonce = Buffer.from(stream, 'base64');
  if (nonce.length !== NONCE_BYTES || !Number.isSafeInteger(at) || at < 0) throw new RangeError('no place in a stream');
  const decipher = createDecipheriv('aes-256-ctr', key.bytes, counterBlock(nonce, Math.floor(at / BLOCK_BYTES)));
  decipher.update(Buffer.alloc(at % BLOCK_BYTES));
  const text = decipher.update(Buffer.from(ciphertext, 'base64')).toString('utf8');
  const found = Buffer.from(commitment(saltOf(key.bytes), text), 'hex');
  if (!timingSafeEqual(found, Buffer.from(digest, 'hex'))) throw new Error('the commitment is to something else');
  return text;
}

/** The same for the same text within a task; no help in guessing once the key, and with it the salt, is erased. */
const commitment = (salt: string, text: string): string => hash('sha256', salt + text);

/** Of the key, so that it goes with it. */
const saltOf = (key: Buffer): string => createHmac('sha256', key).update('remit content commitment').digest('hex');

function counterBlock(nonce: Buffer, block: number): Buffer {
  const counter = Buffer.alloc(BLOCK_BYTES);
  nonce.copy(counter);
  counter.writeUInt32BE(block, NONCE_BYTES);
  return counter;
}

const base64 = (bytes: Buffer): string => bytes.toString('base64');
