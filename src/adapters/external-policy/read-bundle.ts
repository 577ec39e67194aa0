import { gunzipSync } from 'node:zlib';
import { isJsonObject } from '../../domain/json.ts';

const LARGEST = 64 * 1024 * 1024;
const BLOCK = 512;

/** A policy as OPA builds it: the module, and the data that it was built with. */
export interface Bundle {
  readonly code: Uint8Array<ArrayBuffer>;
  readonly data: unknown;
}

/** Reads `policy.wasm` or a bundle (`.tar.gz` with `/policy.wasm` and perhaps `/data.json`). @throws for anything else */
export function readBundle(bytes: Buffer): Bundle {
  if (bytes.subarray(0, 4).equals(Buffer.from('\0asm'))) return { code: new Uint8Array(bytes), data: {} };
  const files = readTar(gunzipSync(bytes, { maxOutputLength: LARGEST }));
  const code = files.get('policy.wasm');
  if (code === undefined) throw new Error('the bundle has no policy.wasm: build it with -t wasm');
  const text = files.get('data.json')?.toString('utf8');
  const data: unknown = text === undefined ? {} : JSON.parse(text);
  if (!isJsonObject(data)) throw new Error('data.json of the bundle is no object');
  return { code: new Uint8Array(code), data };
}

/** Plain files of a tar (POSIX ustar), by name without what stands before the first letter. */
function readTar(tar: Buffer): Map<string, Buffer> {
  const files = new Map<string, Buffer>();
  for (let at = 0; at + BLOCK <= tar.length && tar[at] !== 0; ) {
    const field = (from: number, length: number): string =>
      tar.toString('latin1', at + from, at + from + length).split('\0')[0] ?? '';
    const size = Number.parseInt(field(124, 12).trim(), 8);
    const start = at + BLOCK;
    if (!Number.isSafeInteger(size) || size < 0 || start + size > tar.length) throw new Error('the bundle is cut off');
    const kind = field(156, 1);
    if (kind === '' || kind === '0') files.set(field(0, 100).replace(/^[./]+/, ''), tar.subarray(start, start + size));
    at = start + Math.ceil(size / BLOCK) * BLOCK;
  }
  return files;
}
