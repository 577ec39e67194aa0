import type { Redactor } from './redaction.ts';

/** The last words of a program, kept for the error at its start: bounded, and shown without secrets. */
export class TextTail {
  readonly #redactor: Redactor;
  readonly #maxBytes: number;
  #bytes: Buffer = Buffer.alloc(0);
  #isCut = false;

  constructor(redactor: Redactor, maxBytes: number) {
    this.#redactor = redactor;
    this.#maxBytes = maxBytes;
  }

  push(chunk: Buffer): void {
    // One secret more than is shown, so that one which straddles the cut can be told and dropped.
    const keep = this.#maxBytes + this.#redactor.longestBytes;
    this.#isCut ||= this.#bytes.length + chunk.length > keep;
    this.#bytes = Buffer.concat([this.#bytes, chunk.subarray(-keep)]).subarray(-keep);
  }

  read(): string {
    const text = this.#redactor.redact(this.#bytes.toString('utf8'));
    return (this.#isCut ? text.slice(this.#redactor.longestBytes) : text).slice(-this.#maxBytes).trim();
  }
}
