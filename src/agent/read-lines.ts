import type { Readable } from 'node:stream';

/**
 * Lines of a text stream, without their ends; a last one without end is a line too. Not `node:readline`: that ends lines at
 * U+2028 and U+2029 as well, which may stand inside a JSON string.
 * @param longest in characters; of a longer line, `undefined` is given and nothing is kept
 */
export async function* readLines(
  input: Readable,
  longest = Number.POSITIVE_INFINITY,
): AsyncGenerator<string | undefined> {
  const decoder = new TextDecoder();
  let rest: string[] = [];
  let size = 0;
  const take = (piece: string): void => {
    size += piece.length;
    if (size <= longest) rest.push(piece);
    else rest = [];
  };
  const line = (): string | undefined => {
    const whole = size > longest ? undefined : rest.join('').replace(/\r$/, '');
    rest = [];
    size = 0;
    return whole;
  };
  for await (const chunk of input) {
    const pieces = (typeof chunk === 'string' ? chunk : decoder.decode(chunk as Buffer, { stream: true })).split('\n');
    for (let at = 0; at < pieces.length - 1; at++) {
      take(pieces[at] as string);
      yield line();
    }
    take(pieces[pieces.length - 1] as string);
  }
  take(decoder.decode());
  if (size > 0) yield line();
}
