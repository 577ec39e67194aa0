import type { IncomingHttpHeaders } from 'node:http';
import type { Socket } from 'node:net';
import { errors, util } from 'undici';
import type { ExchangeCarrier, HttpExchange } from '../http-exchange.ts';
import { type BodyReader, ChunkReader, type ChunksRead } from './chunk-reader.ts';
import { LengthReader } from './length-reader.ts';
import { lendPiece } from './piece-pool.ts';
import type { PlainHead } from './plain-head.ts';
import { readBytes } from './read-bytes.ts';
import { replayReply } from './replay-reply.ts';

/** What a socket asks of, and tells, the pool that it is of. */
export interface WireHost {
  /** Reads one head after another. */
  readonly head: PlainHead;
  readonly origin: string;
  /** Its plain reply has come, and it may be used again. @param seconds that the server means to keep it; −1 where it does not say */
  rest(socket: WireSocket, seconds: number): void;
  /** It is of no more use, or has come to its end. Idempotent. */
  drop(socket: WireSocket): void;
  /** A reply was another than a plain one. */
  noteOther(): void;
  /** Its stream comes in small pieces: it is not read for a moment, and then told to `goOn`. */
  lull(socket: WireSocket): void;
}

/** One connection to a server, with at most one request under way. Reads plain replies; gives any other to the library, and itself with it. */
export class WireSocket implements ExchangeCarrier {
  /** Kept by the pool: how long it may still rest. */
  ticks = 0;
  readonly #socket: Socket;
  readonly #host: WireHost;
  readonly #largest: number;
  #exchange: HttpExchange | undefined;
  /** A body that is held whole, of a known length. */
  #body: Buffer | undefined;
  #filled = 0;
  /** The same in chunks: all that has come of the reply, and what of it is the body. Nobody has been told of any of it. */
  #chunks: ChunkReader | undefined;
  #came: Buffer[] = [];
  #pieces: Buffer[] = [];
  /** A body that is passed on as it comes: an event stream, or one that is too large to be held. */
  #passing: BodyReader | undefined;
  #isStream = false;
  /** Of a stream, pieces that were small. */
  #smallPieces = 0;
  /** Whether whoever reads what is passed on has asked for a pause. */
  #isHeld = false;
  #keepAlive = -1;

  /** @param largest body that is held whole here, in bytes */
  constructor(socket: Socket, host: WireHost, largest: number) {
    this.#socket = socket;
    this.#host = host;
    this.#largest = largest;
    readBytes(socket, this.#onData);
    socket.on('end', this.#onEnd).on('error', this.#onError).on('close', this.#onClose);
  }

  get isUsable(): boolean {
    return this.#exchange === undefined && this.#socket.writable && !this.#socket.destroyed;
  }

  /** @param head up to `content-length`, in Latin-1 */
  send(exchange: HttpExchange, head: string, body: string): void {
    this.#exchange = exchange;
    exchange.onWire(this);
    const size = Buffer.byteLength(body);
    const start = `${head}content-length: ${size}\r\n\r\n`;
    const socket = this.#socket;
    // Of as many bytes as characters: ASCII.
    if (size === body.length) socket.write(start + body, 'latin1');
    else {
      socket.cork();
      socket.write(start, 'latin1');
      socket.write(body, 'utf8');
      socket.uncork();
    }
  }

  abort(exchange: HttpExchange, error: Error): void {
    if (this.#exchange === exchange) this.end(error);
  }

  /** Its lull is over. */
  goOn(): void {
    if (this.#exchange !== undefined && !this.#isHeld) this.#socket.resume();
  }

  /** Gives the connection up. @param error for the request that is under way */
  end(error: Error): void {
    const exchange = this.#exchange;
    this.#exchange = undefined;
    this.#body = undefined;
    this.#passing = undefined;
    this.#forgetChunks();
    this.#host.drop(this);
    this.#socket.destroy();
    exchange?.onError(error);
  }

  /** @param chunk not kept: what has to be is copied */
  readonly #onData = (chunk: Buffer): void => {
    const exchange = this.#exchange;
    try {
      // Bytes that nothing was asked for: they must not become the reply to the next request.
      if (exchange === undefined) this.end(new errors.SocketError('bad response'));
      else if (this.#passing !== undefined) this.#pass(exchange, this.#passing, chunk);
      else if (this.#chunks !== undefined) this.#gather(exchange, this.#chunks, chunk, 0);
      else if (this.#body !== undefined) this.#fill(exchange, this.#body, chunk);
      else this.#begin(exchange, chunk);
    } catch (error) {
      // Whoever hears of the reply has failed: as with the library, that costs a connection, not the process.
      this.end(error as Error);
    }
  };

  #begin(exchange: HttpExchange, chunk: Buffer): void {
    const { head } = this.#host;
    if (!head.read(chunk)) {
      this.#handOver(exchange, chunk);
      return;
    }
    const { bodyAt, bodyLength } = head;
    const end = bodyAt + bodyLength;
    this.#keepAlive = head.keepAlive;
    if (head.isStream || bodyLength > this.#largest) {
      const reader = bodyLength === -1 ? new ChunkReader() : new LengthReader(bodyLength);
      this.#beginPassing(exchange, reader, () => headersIn(chunk, bodyAt), head.isStream, bodyLength);
      if (this.#exchange === exchange && chunk.length > bodyAt) this.#pass(exchange, reader, chunk.subarray(bodyAt));
      return;
    }
    if (bodyLength === -1) {
      this.#chunks = new ChunkReader();
      this.#gather(exchange, this.#chunks, chunk, bodyAt);
      return;
    }
    exchange.onPlainHead(() => headersIn(chunk, bodyAt));
    if (this.#exchange !== exchange) return; // given up
    if (chunk.length >= end) this.#finish(exchange, chunk.toString('utf8', bodyAt, end), chunk.length > end);
    else {
      this.#body = Buffer.allocUnsafe(bodyLength);
      this.#filled = chunk.copy(this.#body, 0, bodyAt);
    }
  }

  #fill(exchange: HttpExchange, body: Buffer, chunk: Buffer): void {
    const copied = chunk.copy(body, this.#filled);
    this.#filled += copied;
    if (this.#filled < body.length) return;
    this.#body = undefined;
    this.#finish(exchange, body.toString('utf8'), copied < chunk.length);
  }

  /** A body in chunks that is held whole, while it is not large. As long as it is, the library can have the reply from its first byte. */
  #gather(exchange: HttpExchange, chunks: ChunkReader, bytes: Buffer, bodyAt: number): void {
    const piece = Buffer.from(bytes);
    this.#came.push(piece);
    const read = chunks.read(piece.subarray(bodyAt), (part) => this.#pieces.push(part) > 0);
    const came = this.#came;
    if (read === 'odd' || read === 'broken') {
      this.#forgetChunks();
      this.#handOver(exchange, Buffer.concat(came));
      return;
    }
    const isLarge = came.length > MOST_PIECES || came.reduce((sum, { length }) => sum + length, 0) > this.#largest;
    if (read === 'more' && !isLarge) return;
    const parts = this.#pieces;
    const first = came[0] as Buffer;
    const headers = (): IncomingHttpHeaders => headersIn(first, first.indexOf(HEAD_END) + HEAD_END.length);
    this.#forgetChunks();
    if (isLarge) {
      this.#beginPassing(exchange, chunks, headers, false, -1);
      let mayGoOn = true;
      for (const part of parts) if (this.#exchange === exchange) mayGoOn = exchange.onPlainData(part);
      if (this.#exchange === exchange) this.#passed(exchange, chunks, read, mayGoOn, 0);
      return;
    }
    exchange.onPlainHead(headers);
    if (this.#exchange !== exchange) return; // given up
    const text = (parts.length === 1 ? (parts[0] as Buffer) : Buffer.concat(parts)).toString('utf8');
    this.#finish(exchange, text, chunks.rest.length > 0);
  }

  #forgetChunks(): void {
    this.#chunks = undefined;
    if (this.#came.length > 0) this.#came = [];
    if (this.#pieces.length > 0) this.#pieces = [];
  }

  #beginPassing(
    exchange: HttpExchange,
    reader: BodyReader,
    headers: () => IncomingHttpHeaders,
    isStream: boolean,
    length: number,
  ): void {
    this.#passing = reader;
    this.#isStream = isStream;
    this.#smallPieces = 0;
    this.#isHeld = false;
    exchange.onPlainParts(headers, isStream, length, () => {
      if (this.#exchange !== exchange) return;
      this.#isHeld = false;
      this.#socket.resume();
    });
  }

  #pass(exchange: HttpExchange, reader: BodyReader, piece: Buffer): void {
    let mayGoOn = true;
    const read = reader.read(piece, (bytes) => {
      mayGoOn = exchange.onPlainData(this.#isStream ? bytes : lendPiece(bytes));
      return this.#exchange === exchange;
    });
    if (this.#exchange === exchange) this.#passed(exchange, reader, read, mayGoOn, piece.length);
  }

  /** @param size bytes that came at once */
  #passed(exchange: HttpExchange, reader: BodyReader, read: ChunksRead, mayGoOn: boolean, size: number): void {
    if (read === 'more') {
      if (!mayGoOn) {
        this.#isHeld = true;
        this.#socket.pause();
      } else if (this.#isStream && size < SMALL_PIECE && ++this.#smallPieces > MOST_AT_ONCE) {
        this.#socket.pause();
        this.#host.lull(this);
      }
      return;
    }
    this.#passing = undefined;
    if (read === 'end') {
      this.#release(reader.rest.length > 0);
      exchange.onPlainEnd();
    } else if (read === 'odd') {
      this.#handOver(exchange, Buffer.concat([this.#isStream ? STREAM_HEAD : JSON_HEAD, reader.rest]));
    } else this.end(new errors.HTTPParserError('Response does not match the HTTP/1.1 protocol'));
  }

  #finish(exchange: HttpExchange, text: string, isFollowed: boolean): void {
    this.#release(isFollowed);
    exchange.onPlainBody(text);
  }

  /** @param isFollowed whether there are bytes behind the reply */
  #release(isFollowed: boolean): void {
    this.#exchange = undefined;
    // A server that says more than was asked, or answers before it has read the question, is not asked again here.
    if (isFollowed || this.#socket.writableLength > 0) this.end(new errors.SocketError('bad response'));
    else this.#host.rest(this, this.#keepAlive);
  }

  #handOver(exchange: HttpExchange, chunk: Buffer): void {
    this.#exchange = undefined;
    const socket = this.#socket;
    socket.off('end', this.#onEnd).off('error', this.#onError);
    this.#host.noteOther();
    replayReply(this.#host.origin, exchange, socket, Buffer.from(chunk));
  }

  readonly #onEnd = (): void => this.end(new errors.SocketError('other side closed'));
  readonly #onError = (error: Error): void => this.end(error);
  readonly #onClose = (): void => this.end(new errors.SocketError('closed'));
}

const HEAD_END = Buffer.from('\r\n\r\n');
/** Of a stream: bytes that are worth no turn of the event loop of their own, and how many such pieces are read as they come. */
const SMALL_PIECE = 4_096;
const MOST_AT_ONCE = 2;
/** Of a body in chunks that drips in. */
const MOST_PIECES = 64;

/** As it was read: what follows it is read by the library, which needs to know how. */
const chunkedHead = (type: string): Buffer =>
  Buffer.from(`HTTP/1.1 200 OK\r\ncontent-type: ${type}\r\ntransfer-encoding: chunked\r\n\r\n`);
const STREAM_HEAD = chunkedHead('text/event-stream');
const JSON_HEAD = chunkedHead('application/json');

function headersIn(bytes: Buffer, end: number): IncomingHttpHeaders {
  const lines = bytes.toString('latin1', 0, end).split('\r\n').slice(1, -2);
  return util.parseHeaders(
    lines.flatMap((line) => {
      const colon = line.indexOf(':');
      return [Buffer.from(line.slice(0, colon)), Buffer.from(line.slice(colon + 1).trim())];
    }),
  ) as IncomingHttpHeaders;
}
