import type { RandomBytes } from '../domain/ids.ts';
import type { KeyProvider } from '../seams/key-provider.ts';
import { openBytes, SEAL_BYTES, sealBytes } from './seal-bytes.ts';

/**
 * Envelope encryption: content under a fresh data key with AES-256-GCM (NIST SP 800-38D), the data key wrapped by a provider's key. Both are
 * bound to tenant, name and version as associated data, so an envelope that was moved to another row, another tenant or an older version
 * does not open.
 *
 * Layout 2: `02 | length of the wrapped key (2, big endian) | wrapped key | sealed content`, which is `iv (12) | content (n) | tag (16)`.
 * Layout 1, still read: `01 | wrapped key (60) | …`, from when every key was local. Associated data are those of layout 1 in both, so that
 * wrapping a data key anew touches nothing else.
 */

/** What an envelope belongs to. */
export interface EnvelopeRecord {
  readonly tenant: string;
  readonly name: string;
  readonly version: number;
}

type Wraps = Pick<KeyProvider, 'wrap'>;
type Unwraps = Pick<KeyProvider, 'unwrap'>;

interface EnvelopeParts {
  readonly wrapped: Uint8Array;
  /** As `sealBytes` gives it. */
  readonly sealed: Uint8Array;
}

const LAYOUT = 2;
const KEY_BYTES = 32;
const LAYOUT_1_WRAPPED_BYTES = KEY_BYTES + SEAL_BYTES;

/** Seals `content` for `record`, under a data key of its own. @throws what the provider throws */
export async function sealEnvelope(
  keys: Wraps,
  record: EnvelopeRecord,
  content: Uint8Array,
  random: RandomBytes,
): Promise<Buffer> {
  const dataKey = Buffer.from(random(KEY_BYTES));
  try {
    const wrapped = await keys.wrap(dataKey, associatedData('wrap', record));
    return joinParts({ wrapped, sealed: sealBytes(dataKey, associatedData('content', record), content, random) });
  } finally {
    dataKey.fill(0);
  }
}

/**
 * Content of an envelope, or undefined when it does not open: another key, another record, or altered bytes.
 * @throws what the provider throws
 */
export async function openEnvelope(
  keys: Unwraps,
  record: EnvelopeRecord,
  envelope: Uint8Array,
): Promise<Buffer | undefined> {
  const parts = splitEnvelope(envelope);
  if (parts === undefined) return undefined;
  const dataKey = await keys.unwrap(parts.wrapped, associatedData('wrap', record));
  if (dataKey === undefined) return undefined;
  try {
    return openBytes(dataKey, associatedData('content', record), parts.sealed);
  } finally {
    dataKey.fill(0);
  }
}

/**
 * The same envelope with its data key wrapped by another provider; the content is checked, and never changed. Undefined when it does not open.
 * @throws what the providers throw
 */
export async function rewrapEnvelope(
  from: Unwraps,
  to: Wraps,
  record: EnvelopeRecord,
  envelope: Uint8Array,
): Promise<Buffer | undefined> {
  const parts = splitEnvelope(envelope);
  if (parts === undefined) return undefined;
  const context = associatedData('wrap', record);
  const dataKey = await from.unwrap(parts.wrapped, context);
  if (dataKey === undefined) return undefined;
  try {
    const content = openBytes(dataKey, associatedData('content', record), parts.sealed);
    if (content === undefined) return undefined;
    content.fill(0);
    return joinParts({ ...parts, wrapped: await to.wrap(dataKey, context) });
  } finally {
    dataKey.fill(0);
  }
}

function joinParts({ wrapped, sealed }: EnvelopeParts): Buffer {
  const head = Buffer.alloc(3);
  head.writeUInt8(LAYOUT);
  head.writeUInt16BE(wrapped.length, 1);
  return Buffer.concat([head, wrapped, sealed]);
}

function splitEnvelope(envelope: Uint8Array): EnvelopeParts | undefined {
  const bytes = Buffer.from(envelope.buffer, envelope.byteOffset, envelope.byteLength);
  const isFirst = bytes[0] === 1;
  if (!isFirst && (bytes[0] !== LAYOUT || bytes.length < 3)) return undefined;
  const start = isFirst ? 1 : 3;
  const sealedAt = start + (isFirst ? LAYOUT_1_WRAPPED_BYTES : bytes.readUInt16BE(1));
  if (bytes.length < sealedAt + SEAL_BYTES) return undefined;
  return { wrapped: bytes.subarray(start, sealedAt), sealed: bytes.subarray(sealedAt) };
}

/** Unambiguous: every text is preceded by its length in bytes, the version has a fixed width. */
function associatedData(purpose: 'wrap' | 'content', record: EnvelopeRecord): Buffer {
  const parts: Buffer[] = [];
  for (const text of [`remit/envelope/1/${purpose}`, record.tenant, record.name]) {
    const bytes = Buffer.from(text, 'utf8');
    const length = Buffer.alloc(4);
    length.writeUInt32BE(bytes.length);
    parts.push(length, bytes);
  }
  const version = Buffer.alloc(8);
  version.writeBigUInt64BE(BigInt(record.version));
  return Buffer.concat([...parts, version]);
}
