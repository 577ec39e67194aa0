import { endOfString } from '../../domain/json.ts';

/**
 * JSON text of an object with some of its own members replaced, added or, given as null, left out; the others stay byte for byte as they
 * came, and no number is read and written anew. A name that occurs twice goes twice: what a reader that takes the first one sees is never
 * what we did not look at.
 * @param text well-formed JSON of an object
 * @param edits JSON text of each new value
 */
export function editMembers(text: string, edits: Readonly<Record<string, string | null>>): string {
  const members: string[] = [];
  let at = text.indexOf('{') + 1;
  for (;;) {
    at = skipSpace(text, at);
    const first = text.charCodeAt(at);
    if (first === 44) {
      at += 1;
      continue;
    }
    if (first !== 34) break;
    const nameEnd = endOfString(text, at);
    const valueEnd = endOfValue(text, skipSpace(text, skipSpace(text, nameEnd + 1) + 1));
    const name = JSON.parse(text.slice(at, nameEnd + 1)) as string;
    if (!Object.hasOwn(edits, name)) members.push(text.slice(at, valueEnd));
    at = valueEnd;
  }
  for (const [name, value] of Object.entries(edits)) {
    if (value !== null) members.push(`${JSON.stringify(name)}:${value}`);
  }
  return `{${members.join(',')}}`;
}

/** JSON text of an object with members put before its own. @param members JSON text without braces, not empty */
export function withHead(text: string, members: string): string {
  const start = text.indexOf('{') + 1;
  const isEmpty = text.charCodeAt(skipSpace(text, start)) === 125;
  return `{${members}${isEmpty ? '' : ','}${text.slice(start)}`;
}

/** The same for a text in pieces. */
export async function* withHeadInChunks(chunks: AsyncIterable<Buffer>, members: string): AsyncGenerator<Buffer> {
  let isOpen = false;
  let isDone = false;
  for await (const chunk of chunks) {
    if (isDone) {
      yield chunk;
      continue;
    }
    let at = 0;
    while (at < chunk.length && (!isOpen ? chunk[at] !== 123 : isSpace(chunk[at] as number))) at++;
    if (at === chunk.length) continue;
    if (!isOpen) {
      isOpen = true;
      at += 1;
      while (at < chunk.length && isSpace(chunk[at] as number)) at++;
      yield Buffer.from(`{${members}`);
      if (at === chunk.length) continue;
    }
    isDone = true;
    if (chunk[at] !== 125) yield COMMA;
    yield chunk.subarray(at);
  }
}

const COMMA = Buffer.from(',');

const isSpace = (code: number): boolean => code === 32 || code === 10 || code === 13 || code === 9;

function skipSpace(text: string, from: number): number {
  let at = from;
  while (isSpace(text.charCodeAt(at))) at++;
  return at;
}

function endOfValue(text: string, start: number): number {
  const first = text.charCodeAt(start);
  if (first === 34) return endOfString(text, start) + 1;
  let at = start;
  if (first !== 91 && first !== 123) {
    for (; at < text.length; at++) {
      const code = text.charCodeAt(at);
      if (code === 44 || code === 125 || isSpace(code)) break;
    }
    return at;
  }
  let depth = 0;
  for (; at < text.length; at++) {
    const code = text.charCodeAt(at);
    if (code === 34) at = endOfString(text, at);
    else if (code === 91 || code === 123) depth += 1;
    else if ((code === 93 || code === 125) && --depth === 0) return at + 1;
  }
  return at;
}
