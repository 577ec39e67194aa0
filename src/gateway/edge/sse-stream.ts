import type { HttpResponse, OnWritten } from './client-http.ts';
import type { Beating } from './pulse.ts';

/** What a reader that does not read may cost, in bytes; then its connection is closed (fault 29). */
const MAX_UNREAD = 1024 * 1024;
/** Texts of one tick beyond this are handed over before the tick ends. */
const FLUSH_FROM = 64 * 1024;

const HEAD = ['Content-Type', 'text/event-stream', 'Cache-Control', 'no-store', 'X-Accel-Buffering', 'no'];

const LAST_CHUNK = '0\r\n\r\n';

/** A comment: keeps proxies from closing a silent stream (fault 26), and clients drop it. */
export const COMMENT = ':\n\n';

/**
 * A response as a stream of server-sent events. What is written in one tick leaves in one write; an idle stream has no buffer and no timer.
 * The chunks of HTTP/1.1 (RFC 9112 section 7.1) are framed here: Node would write each in four pieces, which costs as much as the event.
 */
export class SseStream implements Beating {
  slot = -1;
  readonly response: HttpResponse;
  /** Set while an event is written piece by piece: nothing may come in between. */
  isWithinEvent = false;
  readonly #isChunked: boolean;
  #hasBegun = false;
  #pending = '';
  /** Whether what is pending is known to have one byte a character. */
  #isAscii = true;
  #unreadAtBeat = 0;

  /** The head leaves with the first text. */
  constructor(response: HttpResponse) {
    this.response = response;
    response.writeHead(200, HEAD);
    // From HTTP/1.0 clients it is not: their responses end with the connection.
    this.#isChunked = response.chunkedEncoding;
    response.chunkedEncoding = false;
  }

  get isOpen(): boolean {
    return !this.response.destroyed && !this.response.writableEnded;
  }

  /**
   * @param text whole events, ready for the wire
   * @param isAscii where that is known, bytes need not be counted
   */
  write(text: string, isAscii = false): void {
    if (!this.isOpen) return;
    if (this.#pending === '') {
      process.nextTick(flush, this);
      this.#isAscii = true;
    }
    this.#pending += text;
    if (!isAscii) this.#isAscii = false;
    if (this.#pending.length > FLUSH_FROM) this.flush();
  }

  flush(): void {
    const text = this.#pending;
    if (text === '') return;
    this.#pending = '';
    if (!this.isOpen) return;
    const unread = this.response.writableLength;
    // One long text is no stall: who is not behind may get it whole.
    if (unread > FLUSH_FROM && unread + text.length > MAX_UNREAD) this.response.destroy();
    else if (this.#isAscii) this.#writeAscii(text);
    else this.response.write(this.#framed(text));
  }

  /** A heartbeat. A reader that has read nothing since the last one is given up, also when there is nothing more to say. */
  beat(): void {
    if (this.response.destroyed || this.isWithinEvent) return;
    const unread = this.response.writableLength;
    if (unread > 0 && this.#unreadAtBeat > 0 && unread >= this.#unreadAtBeat) this.response.destroy();
    this.#unreadAtBeat = unread;
    if (unread === 0 && this.isOpen) this.response.write(this.#framed(COMMENT));
  }

  /** Another connection takes over: what this one has not read by now, it is not waited for. */
  supersede(): void {
    if (this.response.writableLength > 0) this.response.destroy();
    else this.end();
  }

  end(): void {
    if (!this.isOpen) return;
    const text = this.#pending;
    this.#pending = '';
    const last = this.#isChunked ? LAST_CHUNK : '';
    this.response.end(text === '' ? last : this.#framed(text) + last);
  }

  /** Part of an event that is written piece by piece. @returns false when more should wait for `drain` */
  writePiece(piece: string | Buffer, written?: OnWritten): boolean {
    if (typeof piece === 'string') return this.response.write(this.#framed(piece));
    if (!this.#isChunked) return this.response.write(piece, 'latin1', written);
    this.response.write(`${piece.length.toString(16)}\r\n`);
    this.response.write(piece, 'latin1', written);
    return this.response.write('\r\n');
  }

  /** Past the bookkeeping of `response.write`, which costs as much as the socket's own; for that, the head must be on its way. */
  #writeAscii(text: string): void {
    const framed = this.#isChunked ? `${text.length.toString(16)}\r\n${text}\r\n` : text;
    const { socket } = this.response;
    if (!this.#hasBegun || socket?.writable !== true) this.response.write(framed, 'latin1');
    else socket.write(framed, 'latin1');
    this.#hasBegun = true;
  }

  #framed(text: string): string {
    return this.#isChunked ? `${Buffer.byteLength(text).toString(16)}\r\n${text}\r\n` : text;
  }
}

function flush(stream: SseStream): void {
  stream.flush();
}

/** JSON text as one line of an event. It has line ends only between its tokens, where a space means the same. */
export function oneLine(json: string): string {
  return json.includes('\n') || json.includes('\r') ? json.replace(/[\r\n]/g, ' ') : json;
}

const LINE_FEED = 10;
const RETURN = 13;
const SPACE = 32;

/** The same for a piece of JSON text. The piece is its owner's: it is copied before anything is changed. */
export function oneLineBytes(chunk: Buffer): Buffer {
  if (!chunk.includes(LINE_FEED) && !chunk.includes(RETURN)) return chunk;
  const copy = Buffer.from(chunk);
  for (let at = 0; at < copy.length; at++) {
    if (copy[at] === LINE_FEED || copy[at] === RETURN) copy[at] = SPACE;
  }
  return copy;
}
