import { EventEmitter } from 'node:events';
import { STATUS_CODES } from 'node:http';
import type { Socket } from 'node:net';
import type { HttpResponse, OnWritten } from '../../gateway/edge/client-http.ts';

/** The connection that a response is written to, as the response sees it. */
export interface Carrier {
  readonly socket: Socket;
  /** Head fields of every response, each line ended: `Date`, and what becomes of the connection. */
  commonFields(): string;
  /** The response is on its way as a whole. */
  finished(response: WireResponse): void;
}

/** RFC 9110 section 5.5, as Node checks it: nothing that would end the field. */
const NO_VALUE = /[^\t\x20-\x7e\x80-\xff]/;
const LAST_CHUNK = '0\r\n\r\n';

/**
 * One response to a whole request (HTTP/1.1), written straight to the socket: an answer with its head is one write. Behaves like
 * `ServerResponse` in what `HttpResponse` lists.
 */
export class WireResponse extends EventEmitter implements HttpResponse {
  writableEnded = false;
  /** Until the head is written; then whether Node's chunks, or the caller's, or none are used. */
  chunkedEncoding = true;
  readonly #carrier: Carrier;
  /** OnWritten with what comes first. */
  #head: string | undefined;
  #hasHead = false;
  #hasLength = false;
  #isOver = false;

  constructor(carrier: Carrier) {
    super();
    this.#carrier = carrier;
  }

  get destroyed(): boolean {
    return this.#isOver || this.#carrier.socket.destroyed;
  }

  get headersSent(): boolean {
    return this.#hasHead;
  }

  get socket(): Socket | null {
    return this.destroyed ? null : this.#carrier.socket;
  }

  get writableLength(): number {
    return this.destroyed ? 0 : this.#carrier.socket.writableLength;
  }

  writeHead(status: number, fields: readonly (string | number)[]): this {
    if (this.#hasHead) throw new Error('the head of this response is written already');
    let head = `HTTP/1.1 ${status} ${STATUS_CODES[status] ?? ''}\r\n`;
    for (let at = 0; at + 1 < fields.length; at += 2) {
      const name = fields[at] as string;
      const value = fields[at + 1] as string | number;
      if (typeof value === 'string' && NO_VALUE.test(value)) {
        throw new TypeError(`the header ${name} of a response has a character that no header may have`);
      }
      if (name === 'Content-Length') this.#hasLength = true;
      head += `${name}: ${value}\r\n`;
    }
    this.#head = head;
    this.#hasHead = true;
    if (this.#hasLength) this.chunkedEncoding = false;
    return this;
  }

  write(chunk: string | Buffer, encoding: BufferEncoding = 'utf8', written?: OnWritten): boolean {
    if (this.destroyed || this.writableEnded) return false;
    if (!this.#hasHead) this.writeHead(200, []);
    const { socket } = this.#carrier;
    if (chunk.length === 0) return !socket.writableNeedDrain;
    const head = this.#takeHead();
    if (typeof chunk === 'string') {
      const text = this.chunkedEncoding ? `${Buffer.byteLength(chunk, encoding).toString(16)}\r\n${chunk}\r\n` : chunk;
      return socket.write(head + text, encoding, written);
    }
    if (!this.chunkedEncoding) {
      if (head !== '') socket.write(head, 'latin1');
      return socket.write(chunk, written);
    }
    socket.cork();
    socket.write(`${head}${chunk.length.toString(16)}\r\n`, 'latin1');
    socket.write(chunk, written);
    const isTaken = socket.write('\r\n', 'latin1');
    socket.uncork();
    return isTaken;
  }

  end(text = '', encoding: BufferEncoding = 'utf8'): this {
    if (this.destroyed || this.writableEnded) return this;
    if (!this.#hasHead) this.writeHead(200, ['Content-Length', Buffer.byteLength(text, encoding)]);
    const { socket } = this.#carrier;
    const rest = this.chunkedEncoding
      ? (text === '' ? '' : `${Buffer.byteLength(text, encoding).toString(16)}\r\n${text}\r\n`) + LAST_CHUNK
      : text;
    const last = this.#takeHead() + rest;
    this.writableEnded = true;
    if (last !== '') socket.write(last, encoding);
    // Behind what the client has not taken yet; most answers are with the system by now.
    if (socket.writableLength === 0) this.#finish();
    else socket.write('', 'latin1', () => this.#finish());
    return this;
  }

  destroy(): this {
    if (!this.#isOver) this.#carrier.socket.destroy();
    return this;
  }

  /** The connection has gone, or the response is written: nobody hears of it any more. */
  over(): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.emit('close');
  }

  #finish(): void {
    if (this.#isOver) return;
    this.over();
    this.#carrier.finished(this);
  }

  #takeHead(): string {
    const head = this.#head;
    if (head === undefined) return '';
    this.#head = undefined;
    // Whoever frames the chunks by himself says false after the head, and the head must say it all the same.
    const framing = this.#hasLength ? '' : 'Transfer-Encoding: chunked\r\n';
    return `${head}${framing}${this.#carrier.commonFields()}\r\n`;
  }
}
