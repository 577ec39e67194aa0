import { readSsh, text, uint32, uint64 } from './ssh-wire.ts';

/**
 * A key revocation list of OpenSSH (PROTOCOL.krl): certificates by their serial, of one authority here. Whatever else is in it (other authorities, keys,
 * ranges that an administrator revoked with `ssh-keygen -k -u`) stays as it is.
 */
export interface Krl {
  readonly version: bigint;
  readonly comment: Buffer;
  /** Serials of our authority that are listed one by one. */
  readonly serials: ReadonlySet<bigint>;
  /** Everything else of our authority, section by section. */
  readonly ours: readonly Section[];
  readonly others: readonly Section[];
}

interface Section {
  readonly type: number;
  readonly data: Buffer;
}

const MAGIC = 0x5353484b524c0a00n;
const FORMAT = 1;
const CERTIFICATES = 1;
const SIGNATURE = 4;
const SERIAL_LIST = 0x20;

export const EMPTY_KRL: Krl = { version: 0n, comment: Buffer.alloc(0), serials: new Set(), ours: [], others: [] };

/** @param ca public key of our authority @throws for what is no such list, or one that is signed */
export function readKrl(bytes: Buffer, ca: Buffer): Krl {
  const reader = readSsh(bytes);
  if (bytes.length < 12 || reader.uint64() !== MAGIC || reader.uint32() !== FORMAT) {
    throw new Error('it is no key revocation list of OpenSSH');
  }
  const version = reader.uint64();
  reader.uint64();
  reader.uint64();
  reader.text();
  const comment = reader.text();
  const serials = new Set<bigint>();
  const [ours, others]: [Section[], Section[]] = [[], []];
  while (!reader.isAtEnd) {
    const section = { type: reader.byte(), data: reader.text() };
    if (section.type === SIGNATURE) throw new Error('it is signed: what is added would not be');
    if (section.type !== CERTIFICATES) {
      others.push(section);
      continue;
    }
    const inner = readSsh(section.data);
    if (!inner.text().equals(ca)) {
      others.push(section);
      continue;
    }
    inner.text();
    while (!inner.isAtEnd) {
      const part = { type: inner.byte(), data: inner.text() };
      if (part.type !== SERIAL_LIST) ours.push(part);
      else for (const list = readSsh(part.data); !list.isAtEnd; ) serials.add(list.uint64());
    }
  }
  return { version, comment, serials, ours, others };
}

/** @param now milliseconds since the epoch */
export function writeKrl(krl: Krl, ca: Buffer, now: number): Buffer {
  const list = [...krl.serials].sort((one, other) => (one < other ? -1 : 1)).map(uint64);
  const parts = [...krl.ours, ...(list.length > 0 ? [{ type: SERIAL_LIST, data: Buffer.concat(list) }] : [])];
  const own = Buffer.concat([text(ca), text(''), ...parts.map(writeSection)]);
  const sections = [...krl.others, ...(parts.length > 0 ? [{ type: CERTIFICATES, data: own }] : [])];
  return Buffer.concat([
    uint64(MAGIC),
    uint32(FORMAT),
    uint64(krl.version),
    uint64(BigInt(Math.floor(now / 1000))),
    uint64(0n),
    text(''),
    text(krl.comment),
    ...sections.map(writeSection),
  ]);
}

function writeSection({ type, data }: Section): Buffer {
  return Buffer.concat([Buffer.from([type]), text(data)]);
}

/** How long an entry stays behind the end of what it revokes, for clocks that differ. Seconds. */
const KEPT_FOR = 60n;
/** Before that (2023) no lease of ours ended: what an administrator numbered from one on is never taken for ours. */
const LEAST_END = 1_700_000_000n;

/** Whether nothing needs that entry any more: the certificate has ended by itself. */
export function isOver(serial: bigint, now: number): boolean {
  const end = endOf(serial);
  return end >= LEAST_END && end + KEPT_FOR < BigInt(Math.floor(now / 1000));
}

/**
 * Number of a lease's certificate: the second in which it ends, and 32 bits of its tag's hash. So a row tells it, and a list tells which of its entries
 * nothing needs any more.
 * @param end seconds since the epoch
 */
export function serialOf(end: number, tagHash: Buffer): bigint {
  return (BigInt(end) << 32n) | BigInt(tagHash.readUInt32BE());
}

export function endOf(serial: bigint): bigint {
  return serial >> 32n;
}
