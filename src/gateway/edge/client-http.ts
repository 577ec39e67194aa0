import type { IncomingHttpHeaders, IncomingMessage } from 'node:http';

/** A request that came in one piece: its head has been read strictly, and its body is all there. */
export interface WholeRequest {
  readonly method: string;
  /** Path alone, without a query. */
  readonly url: string;
  /** Names in lower case, each given once. `content-length` is left out: it is the body's. Shared by requests of one connection: never changed. */
  readonly headers: IncomingHttpHeaders;
  readonly whole: Buffer;
}

/** What the edge reads of an HTTP request. */
export type HttpRequest = IncomingMessage | WholeRequest;

/** Called when what was written is with the system, or cannot get there any more. */
export type OnWritten = (error?: Error | null) => void;

/** What the edge writes of an HTTP response: `ServerResponse` is one, and so is a response on the wire. */
export interface HttpResponse {
  /** It is over: written whole, or its connection has gone. */
  readonly destroyed: boolean;
  readonly headersSent: boolean;
  readonly writableEnded: boolean;
  /** Bytes, or characters, that the client has not taken. */
  readonly writableLength: number;
  /** Whether what is written without a length goes out in chunks; whoever frames them by himself says false. */
  chunkedEncoding: boolean;
  readonly socket: { readonly writable: boolean; write(text: string, encoding: BufferEncoding): boolean } | null;
  /** @param head names and values in turn */
  writeHead(status: number, head: (string | number)[]): unknown;
  /** @returns false when more should wait for `drain` */
  write(chunk: string | Buffer, encoding?: BufferEncoding, written?: OnWritten): boolean;
  end(text?: string, encoding?: BufferEncoding): unknown;
  destroy(): unknown;
  on(event: 'close' | 'drain', listener: () => void): HttpResponse;
  once(event: 'close' | 'drain', listener: () => void): HttpResponse;
  off(event: 'close' | 'drain', listener: () => void): HttpResponse;
}
