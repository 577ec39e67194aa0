const LINE_FEED = 10;
/** How servers begin an event that is one line of data: as the SDKs do, and as the least that will do. */
const NAMED = 'event: message\ndata: ';
const BARE = 'data: ';
/** A line that drips in byte by byte must not cost an object per byte. */
const MOST_PIECES = 512;
const MOST_DATA_LINES = 100_000;
/** What can be sent back in a header; other event ids cannot be resumed from. */
const USABLE_ID = /^[\x20-\x7e]{1,1024}$/;

export interface SseReaderOptions {
  /** Largest event, in characters of data. */
  readonly maxBytes: number;
  /** Gets the data of each `message` event that has any. */
  readonly onMessage: (data: string) => void;
  /** Gets each event of another type. */
  readonly onOther?: (type: string, data: string) => void;
  /** Called once, when an event grows too large; nothing is read afterwards. */
  readonly onOverflow: () => void;
}

/** Reads server-sent events (HTML Standard §9.2.6) as they come, holding at most one. Bytes become text once a chunk, not once a line. */
export class SseReader {
  /** Id of the last event that was dispatched, if it can be resumed from. */
  lastEventId: string | undefined;
  /** Milliseconds that the server wants a client to wait before it connects again. */
  retryMs: number | undefined;
  readonly #options: SseReaderOptions;
  #pieces: Buffer[] = [];
  #pieceBytes = 0;
  #isStopped = false;
  #data = '';
  #lines = 0;
  #type = '';
  #id: string | undefined;

  constructor(options: SseReaderOptions) {
    this.#options = options;
  }

  /** Whether nothing of an event has come yet. */
  get isBetween(): boolean {
    return (
      this.#pieceBytes === 0 && this.#lines === 0 && this.#type === '' && this.#id === undefined && !this.#isStopped
    );
  }

  /** @param chunk not kept: what has to be is copied */
  push(chunk: Buffer): void {
    if (this.#isStopped) return;
    const end = chunk[chunk.length - 1] === LINE_FEED ? chunk.length : chunk.lastIndexOf(LINE_FEED) + 1;
    if (end === 0) {
      this.#keep(chunk);
      return;
    }
    let text: string;
    if (this.#pieceBytes === 0) text = chunk.toString('utf8', 0, end);
    else {
      this.#pieces.push(chunk.subarray(0, end));
      text = Buffer.concat(this.#pieces, this.#pieceBytes + end).toString('utf8');
      this.#pieces = [];
      this.#pieceBytes = 0;
    }
    this.#readEvents(text);
    if (end < chunk.length) this.#keep(chunk.subarray(end));
  }

  #keep(piece: Buffer): void {
    this.#pieceBytes += piece.length;
    if (this.#pieceBytes > this.#options.maxBytes) {
      this.#overflow();
      return;
    }
    this.#pieces.push(Buffer.from(piece));
    if (this.#pieces.length >= MOST_PIECES) this.#pieces = [Buffer.concat(this.#pieces, this.#pieceBytes)];
  }

  #overflow(): void {
    this.#isStopped = true;
    this.#pieces = [];
    this.#data = '';
    this.#options.onOverflow();
  }

  /** Most events are one line of data, and are not taken apart any further. @param text ends with a line feed */
  #readEvents(text: string): void {
    if (!this.isBetween || text.includes('\r')) {
      this.#readLines(text);
      return;
    }
    let start = 0;
    while (start < text.length && !this.#isStopped) {
      const from =
        start + (text.startsWith(NAMED, start) ? NAMED.length : text.startsWith(BARE, start) ? BARE.length : 0);
      const end = text.indexOf('\n', from);
      if (from === start || end === from || text.charCodeAt(end + 1) !== LINE_FEED) {
        // Something else, or only the beginning of an event.
        const next = text.indexOf('\n\n', start);
        this.#readLines(next === -1 ? text.slice(start) : text.slice(start, next + 2));
        start = next === -1 ? text.length : next + 2;
      } else if (end - from > this.#options.maxBytes) this.#overflow();
      else {
        this.#options.onMessage(text.slice(from, end));
        start = end + 2;
      }
    }
  }

  /** @param text ends with a line feed */
  #readLines(text: string): void {
    let start = 0;
    while (start < text.length && !this.#isStopped) {
      const end = text.indexOf('\n', start);
      const last = text.charCodeAt(end - 1) === 13 && end > start ? end - 1 : end;
      // A lone CR ends a line too. JSON data holds none, so one can only stand between lines.
      const line = text.slice(start, last);
      if (line.includes('\r')) for (const part of line.split('\r')) this.#read(part);
      else this.#read(line);
      start = end + 1;
    }
  }

  #read(line: string): void {
    if (line === '') {
      this.#dispatch();
      return;
    }
    const colon = line.indexOf(':');
    if (colon === 0 || this.#isStopped) return;
    const field = colon === -1 ? line : line.slice(0, colon);
    const value = colon === -1 ? '' : line.slice(line.charCodeAt(colon + 1) === 32 ? colon + 2 : colon + 1);
    switch (field) {
      case 'data':
        this.#lines += 1;
        this.#data = this.#lines === 1 ? value : `${this.#data}\n${value}`;
        if (this.#data.length > this.#options.maxBytes || this.#lines > MOST_DATA_LINES) this.#overflow();
        return;
      case 'event':
        this.#type = value;
        return;
      case 'id':
        this.#id = value;
        return;
      case 'retry':
        if (/^\d{1,9}$/.test(value)) this.retryMs = Number(value);
    }
  }

  #dispatch(): void {
    const data = this.#data;
    const type = this.#type;
    this.#data = '';
    this.#lines = 0;
    this.#type = '';
    if (this.#id !== undefined) this.lastEventId = USABLE_ID.test(this.#id) ? this.#id : undefined;
    this.#id = undefined;
    if (type !== '' && type !== 'message') this.#options.onOther?.(type, data);
    else if (data !== '') this.#options.onMessage(data);
  }
}
