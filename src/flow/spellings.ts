/** One spelling of a value, however it is written: compatibility forms, letter case, space, and characters that do not show are gone. */
export function compact(text: string): string {
  return isPlain(text) ? keep(text, SHOWN).toLowerCase() : text.normalize('NFKC').replace(UNSHOWN, '').toLowerCase();
}

const UNSHOWN = /[\s\p{Cc}\p{Cf}]+/gu;
// biome-ignore lint/suspicious/noControlCharactersInRegex: all of ASCII
const isPlain = (text: string): boolean => /^[\x00-\x7f]*$/.test(text);

/** An encoded value within an encoded text, and no further. */
const MAX_DEPTH = 2;
/** Shorter runs hold no value that is looked for. */
const BASE64_RUN = /[A-Za-z0-9+/_-]{16,}/g;
const HEX_RUN = /[0-9A-Fa-f]{16,}/g;

/**
 * What a text says, compacted, as it is and decoded: percent signs, escapes and character references, base64 of either alphabet, hex; one within
 * another. Where a run begins is not known, so it is read from each of the places where it may. Linear in the text. Of what is decoded from bytes
 * only ASCII is kept: anything else is the noise of having begun at the wrong place, or the zeros of UTF-16.
 */
export function spellingsOf(text: string): string[] {
  const found: string[] = [];
  collect(text, 0, found);
  return found;
}

function collect(text: string, depth: number, into: string[]): void {
  into.push(compact(text));
  if (depth === MAX_DEPTH) return;
  const unescaped = unescapeText(text);
  if (unescaped !== text) collect(unescaped, depth + 1, into);
  collectDecoded(keep(text, SHOWN).match(BASE64_RUN), 'base64', 4, depth, into);
  // `61:62`, `0x61, 0x62` and `\x61\x62` are the same bytes.
  collectDecoded(keep(text.replaceAll('0x', ''), HEX).match(HEX_RUN), 'hex', 2, depth, into);
}

/** All runs of one text at once: there may be many, and each further text costs by itself. */
function collectDecoded(
  runs: readonly string[] | null,
  encoding: 'base64' | 'hex',
  places: number,
  depth: number,
  into: string[],
): void {
  if (runs === null) return;
  for (let place = 0; place < places; place += 1) {
    const decoded = runs.map((run) => keepBytes(Buffer.from(place === 0 ? run : run.slice(place), encoding), SHOWN));
    collect(decoded.join('\n'), depth + 1, into);
  }
}

/** `%61`, `\u0061`, `&#97;` and `&#x61;`. What is malformed stays as it is. */
function unescapeText(text: string): string {
  if (!/[%\\&]/.test(text)) return text;
  return text
    .replace(/(?:%[0-9a-f]{2})+/gi, (run) => Buffer.from(run.replaceAll('%', ''), 'hex').toString())
    .replace(/\\{1,4}u([0-9a-f]{4})/gi, (_, hex: string) => String.fromCharCode(Number.parseInt(hex, 16)))
    .replace(/&#(?:x([0-9a-f]{1,5})|(\d{1,6}));/gi, (_, hex: string | undefined, decimal: string | undefined) =>
      String.fromCodePoint(Math.min(hex === undefined ? Number(decimal) : Number.parseInt(hex, 16), 0x10ffff)),
    );
}

/** Bytes that stay: by a table, since a text may be large and these are asked for each of its bytes. */
const table = (stays: (byte: number) => boolean): Uint8Array =>
  Uint8Array.from({ length: 256 }, (_, byte) => Number(stays(byte)));
const SHOWN = table((byte) => byte > 0x20 && byte < 0x7f);
const HEX = table((byte) => SHOWN[byte] === 1 && !':,-\\xX'.includes(String.fromCharCode(byte)));

const keep = (text: string, stays: Uint8Array): string => keepBytes(Buffer.from(text, 'utf8'), stays);

function keepBytes(bytes: Buffer, stays: Uint8Array): string {
  let end = 0;
  for (let at = 0; at < bytes.length; at += 1) {
    const byte = bytes[at] as number;
    if (stays[byte] !== 1) continue;
    bytes[end] = byte;
    end += 1;
  }
  return bytes.toString('latin1', 0, end);
}
