/** One policy as it stands in its file: `start` is the offset of its first token, in UTF-16 units. */
export interface PolicyPart {
  readonly text: string;
  readonly start: number;
}

/**
 * Splits the text of a Cedar file into policies at each `;` that stands outside strings and comments, so that each keeps
 * its place. (Cedar's own splitter returns them sorted by a generated id, `policy10` before `policy2`, without places.)
 * Text that does not end in `;` is a last part: parsing it gives the error.
 */
export function splitPolicies(text: string): PolicyPart[] {
  const parts: PolicyPart[] = [];
  let start = -1;
  let at = 0;
  while (at < text.length) {
    const character = text[at] as string;
    if (character === '/' && text[at + 1] === '/') {
      at = endOfLine(text, at);
    } else {
      if (start < 0 && character.trim() !== '') start = at;
      if (character === ';' && start >= 0) {
        parts.push({ text: text.slice(start, at + 1), start });
        start = -1;
      }
      at = character === '"' ? endOfString(text, at) : at + 1;
    }
  }
  if (start >= 0) parts.push({ text: text.slice(start), start });
  return parts;
}

function endOfLine(text: string, from: number): number {
  let at = from;
  while (at < text.length && text[at] !== '\n' && text[at] !== '\r') at += 1;
  return at;
}

function endOfString(text: string, from: number): number {
  let at = from + 1;
  while (at < text.length && text[at] !== '"') at += text[at] === '\\' ? 2 : 1;
  return at + 1;
}

/** `line:column` of an offset, both from 1. */
export function placeOf(text: string, offset: number): { line: number; column: number } {
  const before = text.slice(0, offset).split('\n');
  return { line: before.length, column: (before.at(-1) as string).length + 1 };
}

/** Cedar counts UTF-8 bytes, editors count characters. */
export function fromByteOffset(text: string, bytes: number): number {
  return Buffer.from(text, 'utf8').subarray(0, bytes).toString('utf8').length;
}
