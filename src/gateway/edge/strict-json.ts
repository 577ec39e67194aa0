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
const BACKSLASH = 92;
const UNDERSCORE = 95;

/**
 * Where the keys of the objects that are open stand, by two numbers each: the first `FEW` of each level. Nothing is made for a message of the
 * common kind, and nothing of it stays behind. One scan at a time, since none waits for anything.
 */
const FEW = 16;
const places = new Int32Array(MAX_JSON_DEPTH * FEW * 2);
/** Keys of the object that is open at each level so far; −1 for an array. */
const keyCounts = new Int32Array(MAX_JSON_DEPTH);

/** Scans text that `JSON.parse` accepted; so only ambiguity has to be looked for, not syntax. */
function findAmbiguity(text: string): string | undefined {
  /** Folded keys of objects with many of them, or with one that is not plain, by level. */
  let folded: (Set<string> | undefined)[] | undefined;
  let depth = 0;
  const length = text.length;
  for (let at = 0; at < length; at++) {
    const code = text.charCodeAt(at);
    if (code === QUOTE) {
      const end = endOfString(text, at);
      const level = depth - 1;
      if (level >= 0 && keyCounts[level] !== -1 && isFollowedByColon(text, end + 1)) {
        let keys = folded?.[level];
        if (keys === undefined && !(isPlain(text, at + 1, end) && (keyCounts[level] as number) < FEW)) {
          keys = foldedSoFar(text, level);
          folded ??= [];
          folded[level] = keys;
        }
        const problem = keys === undefined ? addPlain(text, level, at + 1, end) : addFolded(keys, text, at, end);
        if (problem !== undefined) return `${problem} at character ${at}`;
      }
      at = end;
    } else if (code === 123 || code === 91) {
      if (depth === MAX_JSON_DEPTH) return `nested deeper than ${MAX_JSON_DEPTH} levels at character ${at}`;
      keyCounts[depth] = code === 123 ? 0 : -1;
      if (folded !== undefined) folded[depth] = undefined;
      depth += 1;
    } else if (code === 125 || code === 93) {
      depth -= 1;
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

/** Whether a key folds to itself and is no name of JavaScript's: no capital, no escape, ASCII, and not beginning with an underscore twice. */
function isPlain(text: string, start: number, end: number): boolean {
  for (let at = start; at < end; at++) {
    const code = text.charCodeAt(at);
    if (code > 127 || code === BACKSLASH || (code >= 65 && code <= 90)) return false;
  }
  return !(text.charCodeAt(start) === UNDERSCORE && text.charCodeAt(start + 1) === UNDERSCORE);
}

/** A plain key among few: compared where they stand. */
function addPlain(text: string, level: number, start: number, end: number): string | undefined {
  const count = keyCounts[level] as number;
  const base = level * FEW * 2;
  for (let place = base; place < base + count * 2; place += 2) {
    const other = places[place] as number;
    if ((places[place + 1] as number) - other === end - start && isSame(text, other, start, end)) {
      return duplicate(text.slice(start, end));
    }
  }
  places[base + count * 2] = start;
  places[base + count * 2 + 1] = end;
  keyCounts[level] = count + 1;
  return undefined;
}

function isSame(text: string, other: number, start: number, end: number): boolean {
  for (let at = start; at < end; at++) if (text.charCodeAt(at) !== text.charCodeAt(other + at - start)) return false;
  return true;
}

function foldedSoFar(text: string, level: number): Set<string> {
  const keys = new Set<string>();
  const base = level * FEW * 2;
  for (let place = base; place < base + (keyCounts[level] as number) * 2; place += 2) {
    keys.add(text.slice(places[place], places[place + 1]));
  }
  return keys;
}

function addFolded(keys: Set<string>, text: string, start: number, end: number): string | undefined {
  let key = text.slice(start + 1, end);
  if (key.includes('\\')) key = JSON.parse(text.slice(start, end + 1)) as string;
  if (key === '__proto__') return 'key "__proto__"';
  const folded = foldName(key);
  if (keys.has(folded)) return duplicate(key);
  keys.add(folded);
  return keys.size > MAX_KEYS_PER_OBJECT ? `more than ${MAX_KEYS_PER_OBJECT} keys in one object` : undefined;
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
