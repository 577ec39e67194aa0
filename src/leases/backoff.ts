import type { RandomBytes } from '../domain/ids.ts';

/** Milliseconds before attempt `failures` + 1: doubles up to the cap; the upper half is random, so that retries spread. */
export function backoff(failures: number, firstMs: number, capMs: number, random: RandomBytes): number {
  const full = Math.min(capMs, firstMs * 2 ** Math.min(failures - 1, 40));
  const share = Buffer.from(random(4)).readUInt32BE() / 2 ** 32;
  return Math.ceil(full / 2 + (full / 2) * share);
}
