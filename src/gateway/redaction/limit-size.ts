import { isJsonObject, type JsonObject } from '../../domain/json.ts';

/**
 * Cuts the texts of a result until it is no larger, with a note where the first was cut; undefined where it cannot be: of structured content, and of
 * what is no text, a part would be something else than the whole.
 */
export function truncate(result: JsonObject, size: number, maxBytes: number): JsonObject | undefined {
  const name = (['content', 'contents'] as const).find((one) => Array.isArray(result[one]));
  if (name === undefined || result.structuredContent !== undefined) return undefined;
  const note = `[cut by Remit: the result has ${size} bytes]`;
  let excess = size - maxBytes + Buffer.byteLength(JSON.stringify(note));
  const parts = result[name] as readonly unknown[];
  const cut: unknown[] = [];
  // From the end: what comes first is read first.
  for (const part of [...parts].reverse()) {
    if (excess <= 0 || !isJsonObject(part) || typeof part.text !== 'string') {
      cut.unshift(part);
      continue;
    }
    const text = shorten(part.text, excess);
    excess -= written(part.text) - written(text);
    cut.unshift({ ...part, text: text + note });
    if (excess > 0) excess += written(note);
  }
  return excess > 0 ? undefined : { ...result, [name]: cut };
}

const written = (text: string): number => Buffer.byteLength(JSON.stringify(text)) - 2;

/** A text without so many of its last bytes, as JSON writes them, or more; never half a character. */
function shorten(text: string, bytes: number): string {
  let from = text.length;
  let gone = 0;
  while (from > 0 && gone < bytes) {
    const step = Math.min(from, 64);
    from -= step;
    gone += written(text.slice(from, from + step));
  }
  const isHalf = from > 0 && /[\uD800-\uDBFF]/.test(text[from - 1] as string);
  return text.slice(0, isHalf ? from - 1 : from);
}
