/**
 * A member's name as the loosest decoders compare it: without case, and with Unicode's simple folding, which takes `ſ` (U+017F) for `s` and
 * the Kelvin sign for `k` (Go's encoding/json does).
 */
export function foldName(name: string): string {
  for (let at = 0; at < name.length; at++) {
    const code = name.charCodeAt(at);
    if (code > 127 || (code >= 65 && code <= 90)) return name.toUpperCase().toLowerCase();
  }
  return name;
}

/** A JSON object: no array and not null. */
export type JsonObject = Readonly<Record<string, unknown>>;

export function isJsonObject(value: unknown): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** Shorter texts cannot hold enough levels to matter. */
const SCANNED_FROM = 65_536;

/**
 * Whether a large JSON text is nested deeper than `levels`. Looked at before it is parsed: a parser needs seconds for some million brackets,
 * and nothing else is served meanwhile (guarantee I3). For text that is no JSON the answer means nothing; parsing it then fails.
 */
export function isLargeAndDeep(text: string, levels: number): boolean {
  if (text.length < SCANNED_FROM) return false;
  let depth = 0;
  for (let at = 0; at < text.length; at++) {
    const code = text.charCodeAt(at);
    if (code === 34) {
      at = endOfString(text, at);
      if (at === -1) return false;
    } else if (code === 91 || code === 123) {
      depth += 1;
      if (depth > levels) return true;
    } else if (code === 93 || code === 125) depth -= 1;
  }
  return false;
}

/** Where the string that opens at `start` closes; −1 when it does not. */
export function endOfString(text: string, start: number): number {
  let at = text.indexOf('"', start + 1);
  for (;;) {
    let slashes = 0;
    while (text.charCodeAt(at - 1 - slashes) === 92) slashes++;
    if (slashes % 2 === 0) return at;
    at = text.indexOf('"', at + 1);
  }
}

/** One text for one value: members in the order of their names (RFC 8785 for the names that we meet), `undefined` left out. */
export function canonicalJson(value: unknown): string {
  if (Array.isArray(value)) return `[${value.map((item) => canonicalJson(item ?? null)).join(',')}]`;
  if (value !== null && typeof value === 'object') {
    const members = Object.entries(value)
      .filter(([, member]) => member !== undefined)
      .sort(([a], [b]) => (a < b ? -1 : a > b ? 1 : 0))
      .map(([key, member]) => `${JSON.stringify(key)}:${canonicalJson(member)}`);
    return `{${members.join(',')}}`;
  }
  return JSON.stringify(value);
}

/**
 * The same value with other texts, however deep; names of members are texts, too.
 * @param change of a text that is a value; what it gives may be anything
 * @param rename of a member's name
 * @throws RangeError when it is nested too deep; what the two throw
 */
export function mapTexts(value: unknown, change: (text: string) => unknown, rename: (name: string) => string): unknown {
  if (typeof value === 'string') return change(value);
  if (Array.isArray(value)) return value.map((item) => mapTexts(item, change, rename));
  if (!isJsonObject(value)) return value;
  return Object.fromEntries(
    Object.entries(value).map(([name, member]) => [rename(name), mapTexts(member, change, rename)]),
  );
}
