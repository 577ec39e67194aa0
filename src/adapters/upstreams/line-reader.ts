const LINE_FEED = 10;
const CARRIAGE_RETURN = 13;
/** A line that drips in byte by byte must not cost an object per byte. */
const MOST_PIECES = 512;

export interface LineReaderOptions {
  /** Longest line, in bytes without its end. */
  readonly maxBytes: number;
  /** Gets each line without its end. */
  readonly onLine: (line: string) => void;
  /** Called once, when a line grows too long; nothing is read afterwards. */
  readonly onOverflow: () => void;
}

/** Cuts a stream of bytes into lines of UTF-8 text, holding at most one line. */
export class LineReader {
  readonly #options: LineReaderOptions;
  #pieces: Buffer[] = [];
  #size = 0;
  #isStopped = false;

  constructor(options: LineReaderOptions) {
    this.#options = options;
  }

  /** Nothing is reported after this. */
  stop(): void {
    this.#isStopped = true;
    this.#pieces = [];
    this.#size = 0;
  }

  push(chunk: Buffer): void {
    let start = 0;
    while (!this.#isStopped) {
      const end = chunk.indexOf(LINE_FEED, start);
      if (end === -1) break;
      this.#keep(chunk.subarray(start, end));
      this.flush();
      start = end + 1;
    }
    if (!this.#isStopped && start < chunk.length) this.#keep(chunk.subarray(start));
  }

  /** Reports what is held as a line, even though its end has not come. */
  flush(): void {
    if (this.#isStopped || this.#pieces.length === 0) return;
    const bytes = this.#pieces.length === 1 ? (this.#pieces[0] as Buffer) : Buffer.concat(this.#pieces, this.#size);
    this.#pieces = [];
    this.#size = 0;
    const end = bytes[bytes.length - 1] === CARRIAGE_RETURN ? bytes.length - 1 : bytes.length;
    this.#options.onLine(bytes.toString('utf8', 0, end));
  }

  #keep(piece: Buffer): void {
    if (this.#size + piece.length > this.#options.maxBytes) {
      this.stop();
      this.#options.onOverflow();
      return;
    }
    this.#size += piece.length;
    this.#pieces.push(piece);
    if (this.#pieces.length >= MOST_PIECES) this.#pieces = [Buffer.concat(this.#pieces, this.#size)];
  }
}
