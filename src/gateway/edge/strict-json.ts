import { endOfString, foldName, isLargeAndDeep } from '../../domain/json.ts';

/**
 * JSON that has one reading only (guarantee D4). Two parsers may differ on duplicate keys (first or last wins), on keys that
 * differ in case (Go's decoder folds them), on integers beyond 2^53 and on deep nesting: a decision made on one reading
 * and an effect produced by the other is a bypass. All of these are refused, never reinterpreted (RFC 8259 §4, §6).
 */

export const MAX_JSON_DEPTH = 64;
const MAX_KEYS_PER_OBJECT = 10_000;

export type StrictJson = { readonly value: unknown } | { readonly problem: string };

/** Parses JSON text; `problem` says what is wrong and at which character. */
export function parseStrictJson(text: string): StrictJson {
  if (isLargeAndDeep(text, MAX_JSON_DEPTH)) return { problem: `nested deeper than ${MAX_JSON_DEPTH} levels` };
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    return { problem: `not JSON: ${(error as Error).message.replace(/\s+/g, ' ').slice(0, 160)}` };
  }
  const problem = findAmbiguity(text);
  return problem === undefined ? { value } : { problem };
}

const QUOTE = 34;
const COLON = 58;
const MINUS = 45;

/** Scans text that `JSON.parse` accepted; so only ambiguity has to be looked for, not syntax. */
function findAmbiguity(text: string): string | undefined {
  // One list of folded keys an open object; undefined for an open array.
  const open: (FoldedKeys | undefined)[] = [];
  const length = text.length;
  for (let at = 0; at < length; at++) {
    const code = text.charCodeAt(at);
    if (code === QUOTE) {
      const end = endOfString(text, at);
      const keys = open[open.length - 1];
      if (keys !== undefined && isFollowedByColon(text, end + 1)) {
        const problem = keys.add(text, at, end);
        if (problem !== undefined) return `${problem} at character ${at}`;
      }
      at = end;
    } else if (code === 123 || code === 91) {
      open.push(code === 123 ? new FoldedKeys() : undefined);
      if (open.length > MAX_JSON_DEPTH) return `nested deeper than ${MAX_JSON_DEPTH} levels at character ${at}`;
    } else if (code === 125 || code === 93) {
      open.pop();
    } else if (code === MINUS || (code >= 48 && code <= 57)) {
      let end = at + 1;
      while (end < length && isNumberPart(text.charCodeAt(end))) end++;
      // 15 digits or fewer, without exponent, are always exact.
      if (end - at > 15 || hasExponent(text, at, end)) {
        const number = Number(text.slice(at, end));
        if (!Number.isFinite(number) || (Number.isInteger(number) && !Number.isSafeInteger(number))) {
          return `number beyond ±2^53 at character ${at}`;
        }
      }
      at = end - 1;
    }
  }
  return undefined;
}

class FoldedKeys {
  #few: string[] = [];
  #many: Set<string> | undefined;

  add(text: string, start: number, end: number): string | undefined {
    let key = text.slice(start + 1, end);
    if (key.includes('\\')) key = JSON.parse(text.slice(start, end + 1)) as string;
    if (key === '__proto__') return 'key "__proto__"';
    const folded = foldName(key);
    if (this.#many !== undefined) {
      if (this.#many.has(folded)) return duplicate(key);
      this.#many.add(folded);
      return this.#many.size > MAX_KEYS_PER_OBJECT ? `more than ${MAX_KEYS_PER_OBJECT} keys in one object` : undefined;
    }
    if (this.#few.includes(folded)) return duplicate(key);
    this.#few.push(folded);
    if (this.#few.length === 16) this.#many = new Set(this.#few);
    return undefined;
  }
}

function duplicate(key: string): string {
  return `duplicate key ${JSON.stringify(key.slice(0, 40))} (keys are compared without case)`;
}

function isFollowedByColon(text: string, from: number): boolean {
  let at = from;
  while (text.charCodeAt(at) <= 32) at++;
  return text.charCodeAt(at) === COLON;
}

function isNumberPart(code: number): boolean {
  return (code >= 48 && code <= 57) || code === 46 || code === 101 || code === 69 || code === 43 || code === MINUS;
}

function hasExponent(text: string, start: number, end: number): boolean {
  for (let at = start; at < end; at++) {
    const code = text.charCodeAt(at);
    if (code === 101 || code === 69) return true;
  }
  return false;
}
