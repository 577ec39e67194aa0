/** What SSH writes into a buffer (RFC 4251 section 5): numbers with the high byte first, texts behind their length. */

export function uint32(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(value);
  return bytes;
}

export function uint64(value: bigint): Buffer {
  const bytes = Buffer.alloc(8);
  bytes.writeBigUInt64BE(value);
  return bytes;
}

export function text(value: string | Uint8Array): Buffer {
  const bytes = Buffer.from(value as string);
  return Buffer.concat([uint32(bytes.length), bytes]);
}

/** A number without sign, as short as it can be. */
export function mpint(value: Uint8Array): Buffer {
  let at = 0;
  while (at < value.length - 1 && value[at] === 0) at++;
  const bytes = Buffer.from(value.subarray(at));
  return text((bytes[0] ?? 0) & 0x80 ? Buffer.concat([Buffer.alloc(1), bytes]) : bytes);
}

/** @throws past the end */
export interface SshReader {
  readonly isAtEnd: boolean;
  byte(): number;
  uint32(): number;
  uint64(): bigint;
  text(): Buffer;
}

export function readSsh(bytes: Buffer): SshReader {
  let at = 0;
  const take = (length: number): Buffer => {
    if (at + length > bytes.length) throw new Error('it ends too early');
    at += length;
    return bytes.subarray(at - length, at);
  };
  return {
    get isAtEnd() {
      return at === bytes.length;
    },
    byte: () => take(1).readUInt8(),
    uint32: () => take(4).readUInt32BE(),
    uint64: () => take(8).readBigUInt64BE(),
    text: () => take(take(4).readUInt32BE()),
  };
}
