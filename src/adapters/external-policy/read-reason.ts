import { isJsonObject } from '../../domain/json.ts';

const LONGEST = 300;

/** A reason that the other side gives, for the caller: one line, bounded. AuthZEN's examples have a text by code or language; the first counts. */
export function readReason(value: unknown): string | undefined {
  const text = isJsonObject(value) ? Object.values(value)[0] : value;
  if (typeof text !== 'string') return undefined;
  const line = text.replace(/[\p{Cc}\p{Cf}\p{Surrogate}\u2028\u2029]+/gu, ' ').trim();
  if (line === '') return undefined;
  return line.length > LONGEST ? `${line.slice(0, LONGEST)}…` : line;
}
