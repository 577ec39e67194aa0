import { createHmac } from 'node:crypto';
import type { ValuePrint } from '../domain/value-print.ts';

/** Makes fingerprints, and finds values by them. */
export interface Printer {
  /** @param value as `compact` gives it */
  print(value: string): ValuePrint;
  readonly base: number;
}

/** @param key 32 bytes; the same for as long as prints are kept */
export function createPrinter(key: Uint8Array): Printer {
  const digest = createHmac('sha256', key).update('base').digest();
  // Odd, so that no unit of a text is ever multiplied away.
  const base = digest.readUInt32BE(0) | 1;
  return {
    base,
    print: (value) => ({
      length: value.length,
      tag: tagOf(value, base),
      mac: createHmac('sha256', key).update(`value\n${value}`).digest('base64url').slice(0, 27),
    }),
  };
}

function tagOf(value: string, base: number): number {
  let tag = 0;
  for (let at = 0; at < value.length; at += 1) tag = (Math.imul(tag, base) + value.charCodeAt(at)) | 0;
  return tag >>> 0;
}

interface Entry<About> {
  readonly mac: string;
  readonly about: About;
}

/** Fingerprints of values, with what is known of each. */
export class PrintSet<About> {
  readonly #byLength = new Map<number, Map<number, Entry<About>[]>>();
  #size = 0;

  /** False where it is there already. */
  add({ length, tag, mac }: ValuePrint, about: About): boolean {
    const byTag = this.#byLength.get(length) ?? new Map<number, Entry<About>[]>();
    const entries = byTag.get(tag) ?? [];
    if (entries.some((entry) => entry.mac === mac)) return false;
    entries.push({ mac, about });
    byTag.set(tag, entries);
    this.#byLength.set(length, byTag);
    this.#size += 1;
    return true;
  }

  get size(): number {
    return this.#size;
  }

  /**
   * The first value that stands in one of the texts. One pass a length that there is, by a rolling hash (Karp and Rabin 1987); what it finds is
   * compared with the keyed fingerprint.
   * @param texts as `spellingsOf` gives them
   */
  find(texts: readonly string[], printer: Printer, fits: (about: About) => boolean = () => true): About | undefined {
    for (const [length, byTag] of this.#byLength) {
      for (const text of texts) {
        const found = findIn(text, length, byTag, printer, fits);
        if (found !== undefined) return found;
      }
    }
    return undefined;
  }
}

function findIn<About>(
  text: string,
  length: number,
  byTag: ReadonlyMap<number, readonly Entry<About>[]>,
  printer: Printer,
  fits: (about: About) => boolean,
): About | undefined {
  if (length === 0 || text.length < length) return undefined;
  const { base } = printer;
  let leaving = 1;
  for (let step = 1; step < length; step += 1) leaving = Math.imul(leaving, base);
  let tag = 0;
  for (let at = 0; at < text.length; at += 1) {
    if (at >= length) tag = (tag - Math.imul(text.charCodeAt(at - length), leaving)) | 0;
    tag = (Math.imul(tag, base) + text.charCodeAt(at)) | 0;
    if (at < length - 1) continue;
    const entries = byTag.get(tag >>> 0);
    if (entries === undefined) continue;
    const { mac } = printer.print(text.slice(at - length + 1, at + 1));
    const entry = entries.find((one) => one.mac === mac && fits(one.about));
    if (entry !== undefined) return entry.about;
  }
  return undefined;
}
