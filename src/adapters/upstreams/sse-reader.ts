import { LineReader } from './line-reader.ts';

export interface SseReaderOptions {
  /** Largest event, in characters of data. */
  readonly maxBytes: number;
  /** Gets the data of each `message` event that has any. */
  readonly onMessage: (data: string) => void;
  /** Called once, when an event grows too large; nothing is read afterwards. */
  readonly onOverflow: () => void;
}

/** Reads server-sent events (HTML Standard §9.2.6) as they come, holding at most one. */
export class SseReader {
  readonly #options: SseReaderOptions;
  readonly #lines: LineReader;
  #data: string[] = [];
  #size = 0;
  #type = '';

  constructor(options: SseReaderOptions) {
    this.#options = options;
    this.#lines = new LineReader({
      maxBytes: options.maxBytes,
      onLine: (line) => this.#hear(line),
      onOverflow: options.onOverflow,
    });
  }

  push(chunk: Buffer): void {
    this.#lines.push(chunk);
  }

  #hear(line: string): void {
    // A lone CR ends a line too. JSON data holds none, so one can only stand between lines.
    if (line.includes('\r')) for (const part of line.split('\r')) this.#read(part);
    else this.#read(line);
  }

  #read(line: string): void {
    if (line === '') {
      this.#dispatch();
      return;
    }
    const colon = line.indexOf(':');
    const field = colon === -1 ? line : line.slice(0, colon);
    if (field !== 'data' && field !== 'event') return;
    const value = colon === -1 ? '' : line.slice(line[colon + 1] === ' ' ? colon + 2 : colon + 1);
    if (field === 'event') {
      this.#type = value;
      return;
    }
    this.#size += value.length;
    if (this.#size > this.#options.maxBytes || this.#data.length > 100_000) {
      this.#lines.stop();
      this.#options.onOverflow();
      return;
    }
    this.#data.push(value);
  }

  #dispatch(): void {
    const data = this.#data.length === 1 ? (this.#data[0] as string) : this.#data.join('\n');
    const isMessage = this.#type === '' || this.#type === 'message';
    this.#data = [];
    this.#size = 0;
    this.#type = '';
    if (isMessage && data !== '') this.#options.onMessage(data);
  }
}
