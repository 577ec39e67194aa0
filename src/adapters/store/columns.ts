/** Conversions between columns and values, the same for both databases. */

/** libsql reads a BLOB as `ArrayBuffer`, `pg` a bytea as `Buffer`. */
export function bytesOf(column: Buffer | ArrayBuffer | Uint8Array): Buffer {
  if (Buffer.isBuffer(column)) return column;
  return column instanceof ArrayBuffer
    ? Buffer.from(column)
    : Buffer.from(column.buffer, column.byteOffset, column.length);
}

export function listOf<T extends string>(column: string): T[] {
  return JSON.parse(column) as T[];
}

export function objectOf(column: string): object {
  return JSON.parse(column) as object;
}

/** SQL has no `undefined`. */
export function orNull<T>(value: T | undefined): T | null {
  return value === undefined ? null : value;
}

export function orUndefined<T>(column: T | null): T | undefined {
  return column === null ? undefined : column;
}

/** Databases bound the parameters of one statement: rows are written in pieces. */
export function inPieces<T>(rows: readonly T[], size = 200): T[][] {
  const pieces: T[][] = [];
  for (let start = 0; start < rows.length; start += size) pieces.push(rows.slice(start, start + size));
  return pieces;
}
