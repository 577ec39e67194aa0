import type { Writable } from 'node:stream';

/** Some line readers end a line at these too; inside a JSON text, the first two stand between tokens and the others inside strings. */
const LINE_BREAKS = /[\n\r\u0085\u2028\u2029]/g;

function onOneLine(json: string): string {
  return json.replace(LINE_BREAKS, (found) =>
    found === '\n' || found === '\r' ? ' ' : `\\u${found.charCodeAt(0).toString(16).padStart(4, '0')}`,
  );
}

/** Messages to the client, a line each, as fast as it reads. A client that is gone takes no more; writing then does nothing. */
export class ClientOutput {
  readonly #output: Writable;
  #last: Promise<unknown> = Promise.resolve();
  #isGone = false;

  constructor(output: Writable, onGone: (error: Error) => void) {
    this.#output = output;
    output.on('error', (error) => {
      if (!this.#isGone) onGone(error);
      this.#isGone = true;
    });
  }

  /** Resolves when the client has read enough for more. */
  write(message: string): Promise<void> {
    return this.#afterAll(() => this.#put(`${onOneLine(message)}\n`));
  }

  /** Writes one message in pieces; nothing else comes between them. @throws as `pieces`, after the line has been ended */
  writePieces(pieces: AsyncIterable<string>): Promise<void> {
    return this.#afterAll(async () => {
      try {
        for await (const piece of pieces) await this.#put(onOneLine(piece));
      } finally {
        await this.#put('\n');
      }
    });
  }

  #afterAll(work: () => Promise<void>): Promise<void> {
    const done = this.#last.then(work);
    this.#last = done.catch(() => {});
    return done;
  }

  #put(text: string): Promise<void> {
    const output = this.#output;
    if (this.#isGone || output.destroyed || output.write(text)) return Promise.resolve();
    return new Promise((resolve) => {
      const go = (): void => {
        for (const event of ['drain', 'close', 'error']) output.off(event, go);
        resolve();
      };
      for (const event of ['drain', 'close', 'error']) output.on(event, go);
    });
  }
}
