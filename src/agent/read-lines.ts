import type { Readable } from 'node:stream';

/**
 * Lines of a text stream, without their ends; a last one without end is a line too. Not `node:readline`: that ends lines at
 * U+2028 and U+2029 as well, which may stand inside a JSON string.
 */
export async function* readLines(input: Readable): AsyncGenerator<string> {
  const decoder = new TextDecoder();
  let rest: string[] = [];
  for await (const chunk of input) {
    const pieces = (typeof chunk === 'string' ? chunk : decoder.decode(chunk as Buffer, { stream: true })).split('\n');
    for (let at = 0; at < pieces.length - 1; at++) {
      rest.push(pieces[at] as string);
      yield rest.join('').replace(/\r$/, '');
      rest = [];
    }
    rest.push(pieces[pieces.length - 1] as string);
  }
  const last = rest.join('') + decoder.decode();
  if (last !== '') yield last;
}
