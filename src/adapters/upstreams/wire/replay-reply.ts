import type { Socket } from 'node:net';
import { Duplex } from 'node:stream';
import { Client } from 'undici';
import type { ExchangeCarrier, HttpExchange } from '../http-exchange.ts';
import { readBytes } from './read-bytes.ts';

/** As much as a socket holds. Bytes. */
const HIGH_WATER = 64 * 1024;

/**
 * Lets the library read a reply whose request was sent without it: it writes one to a connection that swallows it, and gets the bytes that have
 * come, and all that follow. The connection ends with the reply. Nothing is ever sent twice (guarantee I2).
 * @param socket without listeners for its end and errors
 */
export function replayReply(origin: string, exchange: HttpExchange, socket: Socket, first: Buffer): void {
  const replay = new Replay(socket, first);
  exchange.onWire(replay);
  let isTaken = false;
  const client = new Client(origin, {
    pipelining: 1,
    headersTimeout: 0,
    bodyTimeout: 0,
    connect(_options, callback) {
      const isFirst = !isTaken;
      isTaken = true;
      // Not at once: the client is in the middle of asking for it.
      queueMicrotask(() => {
        if (isFirst && !replay.destroyed) callback(null, replay as unknown as Socket);
        // Of a kind that it does not take for a reason to try again.
        else callback(new Error('The connection has ended'), null);
      });
    },
  });
  client.dispatch({ method: 'POST', path: '/', body: null }, exchange);
  // Once the reply has come to its end.
  client.close().catch(() => {});
}

class Replay extends Duplex implements ExchangeCarrier {
  readonly #socket: Socket;
  #first: Buffer | undefined;

  constructor(socket: Socket, first: Buffer) {
    super({ highWaterMark: HIGH_WATER, allowHalfOpen: false });
    this.#socket = socket;
    this.#first = first;
    readBytes(socket, (bytes) => {
      if (!this.push(Buffer.from(bytes))) socket.pause();
    });
    socket.pause();
    socket.on('end', () => this.push(null));
    socket.on('error', (error) => this.destroy(error));
    socket.on('close', () => {
      if (!socket.readableEnded) this.destroy();
    });
  }

  /** Given up before the library has taken it. */
  abort(exchange: HttpExchange, error: Error): void {
    this.destroy();
    exchange.onError(error);
  }

  override _read(): void {
    if (this.#first === undefined) this.#socket.resume();
  }

  /** The request: it was written before. What came of it is read from here on, once the library knows that it has asked. */
  override _write(_chunk: Buffer, _encoding: BufferEncoding, done: () => void): void {
    const first = this.#first;
    this.#first = undefined;
    if (first !== undefined) {
      process.nextTick(() => {
        if (!this.destroyed && this.push(first)) this.#socket.resume();
      });
    }
    done();
  }

  override _destroy(error: Error | null, done: (error: Error | null) => void): void {
    this.#socket.destroy();
    done(error);
  }
}
