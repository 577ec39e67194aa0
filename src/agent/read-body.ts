export interface BodyText {
  /** The whole text; empty where there is more of it than is held. */
  readonly text: string;
  /** Where there is: all of it, in pieces as they come. */
  readonly rest: AsyncIterable<string> | undefined;
}

/** Text of a body, whole while it is short. @param held characters */
export async function readBody(body: AsyncIterable<Uint8Array>, held: number): Promise<BodyText> {
  const decoder = new TextDecoder();
  const pieces: string[] = [];
  let size = 0;
  const source = body[Symbol.asyncIterator]();
  for (let next = await source.next(); next.done !== true; next = await source.next()) {
    const piece = decoder.decode(next.value, { stream: true });
    pieces.push(piece);
    size += piece.length;
    if (size > held) return { text: '', rest: go(pieces, source, decoder) };
  }
  return { text: pieces.join('') + decoder.decode(), rest: undefined };
}

async function* go(
  begun: readonly string[],
  source: AsyncIterator<Uint8Array>,
  decoder: InstanceType<typeof TextDecoder>,
): AsyncGenerator<string> {
  yield* begun;
  for (let next = await source.next(); next.done !== true; next = await source.next())
    yield decoder.decode(next.value, { stream: true });
  yield decoder.decode();
}
