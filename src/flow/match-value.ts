/** Letters, digits and what is part of an address: a value that ends beside one of these is another value. */
const INNER = /[\p{L}\p{N}_@%+]/u;
/** Part of a value only where more of it follows. */
const JOINING = /[-.:/?#&=~]/;
/** Shorter ones stand everywhere: they count where they are quoted, or named as an id. */
const SHORT = 4;

/** One spelling for what people and systems write in several: letter case, runs of space, the scheme and last slash of a URL. */
export function normaliseText(text: string): string {
  return text.normalize('NFKC').toLowerCase().replace(/\s+/g, ' ');
}

export function normaliseValue(value: string): string {
  const plain = normaliseText(value).trim();
  return plain.replace(/^https?:\/\/(?=.)/, '').replace(/(?<=.)\/$/, '');
}

/**
 * Whether a text holds a value as a whole, and not as a piece of a longer one: `a@b.example` is not in `a@b.example.evil`.
 * @param text as `normaliseText` gives it
 * @param value as `normaliseValue` gives it
 */
export function holdsValue(text: string, value: string): boolean {
  if (value === '') return false;
  for (let at = text.indexOf(value); at >= 0; at = text.indexOf(value, at + 1)) {
    const end = at + value.length;
    if (isWhole(text, at, end) && (value.length >= SHORT || isMarked(text, at, end))) return true;
  }
  return false;
}

function isWhole(text: string, at: number, end: number): boolean {
  const before = text[at - 1] ?? ' ';
  if (INNER.test(before)) return false;
  // `https://` may stand before; any other joint is in the middle of something.
  if (JOINING.test(before) && INNER.test(text[at - 2] ?? ' ') && before !== ':') return false;
  if (before === '/' && !text.startsWith('://', at - 3)) return false;
  const after = text[end] ?? ' ';
  if (INNER.test(after)) return false;
  return !(JOINING.test(after) && INNER.test(text[end + 1] ?? ' '));
}

/** Whether a value stands in a text at all, also within something longer: where that speaks against it. */
export const holdsPiece = (text: string, value: string): boolean => value !== '' && text.includes(value);

/** In quotes, or behind a word that says that an id comes. */
function isMarked(text: string, at: number, end: number): boolean {
  const quote = text[at - 1];
  if (quote !== undefined && /["'`“‘]/.test(quote) && /["'`”’]/.test(text[end] ?? '')) return true;
  return /(?:\bids?\b|\bnumber|\bno\.|#)\s*:?\s*$/.test(text.slice(Math.max(0, at - 12), at));
}

/** Whether an allow-list names a value: literally, or with `*` at the start or end of an entry. Entries are compared in one letter case. */
export function isListed(list: readonly string[], value: string): boolean {
  return list.some((entry) => {
    if (!entry.startsWith('*') && !entry.endsWith('*')) return value === normaliseValue(entry);
    // Not as a value: the slash at the end of `docs.example/*` is what keeps `docs.example.evil` out.
    const listed = normaliseText(entry.replace(/^\*|\*$/g, '')).replace(/^https?:\/\//, '');
    return value.length > listed.length && (entry.startsWith('*') ? value.endsWith(listed) : value.startsWith(listed));
  });
}
