import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';

/** Bytes that may pass before the pieces that held them are collected. */
const COLLECT_AFTER = 2 * 1024 * 1024;

let passed = 0;
let collect: (() => void) | undefined;

/**
 * Counts what passes in pieces that are of no more use once written. To V8 a piece of 64 KiB is an object of a few bytes, so that some 40 MiB of
 * them would wait for its young heap to fill; a collection of that heap takes a millisecond.
 */
export function notePassed(bytes: number): void {
  passed += bytes;
  if (passed < COLLECT_AFTER) return;
  passed = 0;
  collect ??= findCollector();
  collect();
}

function findCollector(): () => void {
  // The function is there in contexts that are made while the flag is set.
  setFlagsFromString('--expose-gc');
  const gc = runInNewContext('gc') as ((options: { type: 'minor' }) => void) | undefined;
  setFlagsFromString('--no-expose-gc');
  return gc === undefined ? () => {} : () => gc({ type: 'minor' });
}
