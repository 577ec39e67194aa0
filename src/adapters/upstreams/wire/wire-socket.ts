import type { IncomingHttpHeaders } from 'node:http';
import type { Socket } from 'node:net';
import { errors, util } from 'undici';
import type { ExchangeCarrier, HttpExchange } from '../http-exchange.ts';
import { ChunkReader } from './chunk-reader.ts';
import type { PlainHead } from './plain-head.ts';
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
}

/** One connection to a server, with at most one request under way. Reads plain replies; gives any other to the library, and itself with it. */
export class WireSocket implements ExchangeCarrier {
  /** Kept by the pool: how long it may still rest. */
  ticks = 0;
  readonly #socket: Socket;
  readonly #host: WireHost;
  readonly #largest: number;
  #exchange: HttpExchange | undefined;
  /** A body that comes in pieces. */
  #body: Buffer | undefined;
  #filled = 0;
  /** Of a body that comes in chunks. */
  #chunks: ChunkReader | undefined;
  #isStream = false;
  /** Of a whole body in chunks: all that has come of the reply, and what of it is the body. Nobody has been told of any of it. */
  #came: Buffer[] = [];
  #pieces: Buffer[] = [];
  #keepAlive = -1;

  /** @param largest body that is read here, in bytes */
  constructor(socket: Socket, host: WireHost, largest: number) {
    this.#socket = socket;
    this.#host = host;
    this.#largest = largest;
    socket.on('data', this.#onData).on('end', this.#onEnd).on('error', this.#onError).on('close', this.#onClose);
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

  /** Gives the connection up. @param error for the request that is under way */
  end(error: Error): void {
    const exchange = this.#exchange;
    this.#exchange = undefined;
    this.#body = undefined;
    this.#chunks = undefined;
    this.#forgetPieces();
    this.#host.drop(this);
    this.#socket.destroy();
    exchange?.onError(error);
  }

  readonly #onData = (chunk: Buffer): void => {
    const exchange = this.#exchange;
    try {
      // Bytes that nothing was asked for: they must not become the reply to the next request.
      if (exchange === undefined) this.end(new errors.SocketError('bad response'));
      else if (this.#chunks !== undefined) {
        if (this.#isStream) this.#stream(exchange, this.#chunks, chunk);
        else this.#gather(exchange, this.#chunks, chunk, 0);
      } else if (this.#body !== undefined) this.#fill(exchange, this.#body, chunk);
      else this.#begin(exchange, chunk);
    } catch (error) {
      // Whoever hears of the reply has failed: as with the library, that costs a connection, not the process.
      this.end(error as Error);
    }
  };

  #begin(exchange: HttpExchange, chunk: Buffer): void {
    const { head } = this.#host;
    if (!head.read(chunk) || head.bodyLength > this.#largest) {
      this.#handOver(exchange, chunk);
      return;
    }
    const { bodyAt, bodyLength } = head;
    const end = bodyAt + bodyLength;
    this.#keepAlive = head.keepAlive;
    if (bodyLength === -1) {
      const chunks = new ChunkReader();
      this.#chunks = chunks;
      this.#isStream = head.isStream;
      if (head.isStream) this.#beginStream(exchange, chunks, chunk, bodyAt);
      else this.#gather(exchange, chunks, chunk, bodyAt);
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

  /** A body in chunks that is held whole. As long as it is not, the library can have the reply from its first byte. */
  #gather(exchange: HttpExchange, chunks: ChunkReader, piece: Buffer, bodyAt: number): void {
    this.#came.push(piece);
    const read = chunks.read(piece.subarray(bodyAt), (bytes) => this.#pieces.push(bytes) > 0);
    const came = this.#came;
    const isLarge = came.length > MOST_PIECES || came.reduce((sum, { length }) => sum + length, 0) > this.#largest;
    if (read === 'more' && !isLarge) return;
    const body = this.#pieces;
    this.#chunks = undefined;
    this.#forgetPieces();
    if (read !== 'end' || isLarge) {
      this.#handOver(exchange, Buffer.concat(came));
      return;
    }
    const first = came[0] as Buffer;
    exchange.onPlainHead(() => headersIn(first, first.indexOf(HEAD_END) + HEAD_END.length));
    if (this.#exchange !== exchange) return; // given up
    const text = (body.length === 1 ? (body[0] as Buffer) : Buffer.concat(body)).toString('utf8');
    this.#finish(exchange, text, chunks.rest.length > 0);
  }

  #forgetPieces(): void {
    if (this.#came.length > 0) this.#came = [];
    if (this.#pieces.length > 0) this.#pieces = [];
  }

  #beginStream(exchange: HttpExchange, chunks: ChunkReader, chunk: Buffer, bodyAt: number): void {
    const resume = (): void => {
      if (this.#exchange === exchange) this.#socket.resume();
    };
    exchange.onPlainStream(() => headersIn(chunk, bodyAt), resume);
    if (this.#exchange === exchange && chunk.length > bodyAt) this.#stream(exchange, chunks, chunk.subarray(bodyAt));
  }

  #stream(exchange: HttpExchange, chunks: ChunkReader, piece: Buffer): void {
    let mayGoOn = true;
    const read = chunks.read(piece, (bytes) => {
      mayGoOn = exchange.onPlainData(bytes);
      return this.#exchange === exchange;
    });
    if (this.#exchange !== exchange) return; // given up
    if (read === 'more') {
      if (!mayGoOn) this.#socket.pause();
      return;
    }
    this.#chunks = undefined;
    if (read === 'end') {
      this.#release(chunks.rest.length > 0);
      exchange.onPlainEnd();
    } else if (read === 'odd') this.#handOver(exchange, Buffer.concat([STREAM_HEAD, chunks.rest]));
    else this.end(new errors.HTTPParserError('Response does not match the HTTP/1.1 protocol'));
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
    socket.off('data', this.#onData).off('end', this.#onEnd).off('error', this.#onError);
    this.#host.noteOther();
    replayReply(this.#host.origin, exchange, socket, chunk);
  }

  readonly #onEnd = (): void => this.end(new errors.SocketError('other side closed'));
  readonly #onError = (error: Error): void => this.end(error);
  readonly #onClose = (): void => this.end(new errors.SocketError('closed'));
}

const HEAD_END = Buffer.from('\r\n\r\n');
/** Of a body in chunks that drips in. */
const MOST_PIECES = 64;

/** As it was read: what follows it is read by the library, which needs to know how. */
const STREAM_HEAD = Buffer.from(
  'HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n',
);

function headersIn(bytes: Buffer, end: number): IncomingHttpHeaders {
  const lines = bytes.toString('latin1', 0, end).split('\r\n').slice(1, -2);
  return util.parseHeaders(
    lines.flatMap((line) => {
      const colon = line.indexOf(':');
      return [Buffer.from(line.slice(0, colon)), Buffer.from(line.slice(colon + 1).trim())];
    }),
  ) as IncomingHttpHeaders;
}
