/** One server-sent event. */
export interface StreamEvent {
  readonly data: string;
  /** To go on from, should the stream break after it. */
  readonly id: string | undefined;
  /** Milliseconds that the server wants a client to wait before it connects again. */
  readonly retry: number | undefined;
}

/**
 * Server-sent events (HTML Standard §9.2.6) of a body, as they come; those without data too, as they can carry an id. Ends with the body.
 * @param longest in characters
 * @throws for an event that is longer
 */
export async function* readEvents(body: AsyncIterable<Uint8Array>, longest: number): AsyncGenerator<StreamEvent> {
  const decoder = new TextDecoder();
  let rest: string[] = [];
  let size = 0;
  let data: string[] = [];
  let id: string | undefined;
  let retry: number | undefined;
  for await (const chunk of body) {
    const pieces = decoder.decode(chunk, { stream: true }).split('\n');
    for (let at = 0; at < pieces.length; at++) {
      const piece = pieces[at] as string;
      size += piece.length;
      if (size > longest) throw new Error('an event of the gateway is too long');
      rest.push(piece);
      if (at === pieces.length - 1) break;
      const line = rest.join('').replace(/\r$/, '');
      rest = [];
      if (line === '') {
        if (data.length > 0 || id !== undefined || retry !== undefined) yield { data: data.join('\n'), id, retry };
        data = [];
        id = undefined;
        retry = undefined;
        size = 0;
        continue;
      }
      const [, field, value = ''] = /^([^:]*):? ?(.*)$/s.exec(line) ?? [];
      if (field === 'data') data.push(value);
      else if (field === 'id' && !value.includes('\0')) id = value;
      else if (field === 'retry' && /^\d{1,9}$/.test(value)) retry = Number(value);
    }
  }
}
