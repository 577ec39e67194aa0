import { RPC } from '../../domain/era.ts';
import type { JsonObject } from '../../domain/json.ts';
import type { Schedule } from '../../seams/clock.ts';
import type { HttpResponse } from './client-http.ts';
import { type Beating, type Pulse, pulseOf } from './pulse.ts';
import { errorAnswer, type HttpAnswer } from './render.ts';
import { sendAnswer } from './send-answer.ts';
import { COMMENT, oneLine, SseStream } from './sse-stream.ts';
import { type LargeAnswer, writeLarge } from './write-large.ts';

/** Where the events of a reply go when a client may come back for them. */
export interface KeptStream {
  /**
   * Takes the stream that carries it first, and writes what it begins with.
   * @param onGone for the time when the client has lost its connection and can no longer come back
   */
  begin(stream: SseStream, onGone: () => void): void;
  /** One message, JSON text on one line: written to whatever carries it now, and kept. @param isAscii where that is known */
  send(json: string, isAscii?: boolean): void;
  /** What carries it now, for an event that is written piece by piece and cannot be kept. */
  readonly carrier: SseStream | undefined;
  /** What such an event begins with. It counts only once `skip` says that it was written whole. */
  beginEvent(): string;
  skip(): void;
  end(): void;
  /** Whether a client that has lost its connection can still come back. */
  readonly isKept: boolean;
}

/** Makes the stream of one reply, once it becomes one. */
export interface StreamKeeper {
  keep(): KeptStream;
}

export interface ReplyOptions {
  /** Whether the client said that it reads `text/event-stream`. */
  readonly acceptsStream: boolean;
  readonly schedule: Schedule;
  /** Silence, in milliseconds, after which a reply becomes a stream with heartbeats (fault 26). */
  readonly heartbeatMs: number;
  /** Where streams are kept for clients that lose their connection. */
  readonly keeper?: StreamKeeper | undefined;
}

/**
 * The reply to one POST: one JSON answer, until something has to be said before it; from then on a stream of events that ends with the answer.
 */
export class Reply implements Beating {
  slot = -1;
  readonly #response: HttpResponse;
  readonly #options: ReplyOptions;
  readonly #pulse: Pulse;
  #stream: SseStream | undefined;
  #kept: KeptStream | undefined;
  #progressHead: string | undefined;
  #isTokenAscii = false;
  #isFinished = false;
  #unreadAtBeat = Number.POSITIVE_INFINITY;
  #onGone: (() => void) | undefined;

  constructor(response: HttpResponse, options: ReplyOptions) {
    this.#response = response;
    this.#options = options;
    this.#pulse = pulseOf(options.schedule, options.heartbeatMs);
    if (options.acceptsStream) this.#pulse.add(this);
    response.on('close', () => this.#closed());
  }

  get isStream(): boolean {
    return this.#stream !== undefined;
  }

  /** Whether something can be said before the answer. */
  get acceptsStream(): boolean {
    return this.#options.acceptsStream;
  }

  /** Dropped when the client reads no streams, or the reply is finished. */
  notify(method: string, params: JsonObject): void {
    this.send(`{"jsonrpc":"2.0","method":${JSON.stringify(method)},"params":${JSON.stringify(params)}}`);
  }

  /** Progress whose members, but for the token, are JSON text already, of printable ASCII. */
  progress(token: string | number, members: string): void {
    if (this.#progressHead === undefined) {
      this.#progressHead = `{"jsonrpc":"2.0","method":"notifications/progress","params":{"progressToken":${JSON.stringify(token)},`;
      this.#isTokenAscii = /^[ -~]*$/.test(this.#progressHead);
    }
    this.send(`${this.#progressHead}${members}}}`, this.#isTokenAscii);
  }

  /** @returns false when it cannot reach the client */
  request(id: string | number, method: string, params: JsonObject): boolean {
    const head = `{"jsonrpc":"2.0","id":${JSON.stringify(id)},"method":${JSON.stringify(method)}`;
    return this.send(`${head},"params":${JSON.stringify(params)}}`);
  }

  /** One message, JSON text on one line, before the answer. @returns false when it cannot reach the client */
  send(json: string, isAscii = false): boolean {
    if (this.#isFinished) return false;
    const stream = this.#stream ?? this.#becomeStream();
    if (stream === undefined) return false;
    if (this.#kept !== undefined) {
      this.#kept.send(json, isAscii);
      return true;
    }
    stream.write(`data: ${json}\n\n`, isAscii);
    return stream.isOpen;
  }

  /** The answer; what comes later is dropped. Never rejects. A promise for a large one: resolved when it has been written, or cannot be. */
  finish(answer: HttpAnswer | LargeAnswer): Promise<void> | void {
    if (this.#isFinished) return;
    this.#isFinished = true;
    this.#onGone = undefined;
    if ('chunks' in answer) {
      this.#pulse.remove(this);
      return this.#finishLarge(answer);
    }
    if (this.#stream === undefined) sendAnswer(this.#response, answer);
    else this.#endStream(answer.body);
    // A reader that takes its time over the answer is waited for, one that stalls is not.
    if (this.#response.writableLength === 0) this.#pulse.remove(this);
    else this.#pulse.add(this);
  }

  /** The client has closed its connection before the answer, and will not come back for it. Called at most once. */
  onGone(listener: () => void): void {
    if (this.#response.destroyed && this.#kept?.isKept !== true) listener();
    else this.#onGone = listener;
  }

  beat(): void {
    if (this.#stream !== undefined) this.#stream.beat();
    else if (!this.#isFinished) this.#becomeStream()?.write(COMMENT);
    else {
      const unread = this.#response.writableLength;
      if (unread >= this.#unreadAtBeat) this.#response.destroy();
      this.#unreadAtBeat = unread;
    }
  }

  #becomeStream(): SseStream | undefined {
    const { acceptsStream, keeper } = this.#options;
    if (!acceptsStream || this.#response.destroyed || this.#response.headersSent) return undefined;
    const stream = new SseStream(this.#response);
    this.#stream = stream;
    if (keeper !== undefined) {
      this.#kept = keeper.keep();
      this.#kept.begin(stream, () => this.#gone());
    }
    return stream;
  }

  #closed(): void {
    this.#pulse.remove(this);
    if (this.#isFinished) return;
    if (this.#kept?.isKept !== true) this.#gone();
  }

  #gone(): void {
    const listener = this.#onGone;
    this.#onGone = undefined;
    listener?.();
  }

  #endStream(body: string): void {
    const json = oneLine(body);
    if (this.#kept !== undefined) {
      if (json !== '') this.#kept.send(json);
      this.#kept.end();
    } else if (this.#stream !== undefined) {
      if (json !== '') this.#stream.write(`data: ${json}\n\n`);
      this.#stream.end();
    }
  }

  async #finishLarge(answer: LargeAnswer): Promise<void> {
    if (this.#stream !== undefined) return this.#streamLarge(this.#stream, answer);
    const response = this.#response;
    const begin = (): string => {
      response.writeHead(200, ['Content-Type', 'application/json', 'Cache-Control', 'no-store']);
      return answer.head;
    };
    const { written, hasBegun } = await writeLarge(response, begin, answer, '}', this.#options.schedule);
    if (written === 'whole') response.end();
    else if (hasBegun) response.destroy();
    else sendAnswer(response, brokenAnswer(answer.id));
  }

  async #streamLarge(own: SseStream, answer: LargeAnswer): Promise<void> {
    const kept = this.#kept;
    const stream = kept?.carrier ?? own;
    const begin = (): string => `${kept?.beginEvent() ?? ''}data: ${answer.head}`;
    const { written, hasBegun } = await writeLarge(stream, begin, answer, '}\n\n', this.#options.schedule);
    if (written === 'whole') {
      kept?.skip();
      (kept ?? stream).end();
      return;
    }
    // Half an event is no event: the client learns from the broken connection, or, when it comes back, that the reply was not kept.
    if (hasBegun) stream.response.destroy();
    this.#endStream((written === 'broken' ? brokenAnswer : unkeptAnswer)(answer.id).body);
  }
}

export function createReply(response: HttpResponse, options: ReplyOptions): Reply {
  return new Reply(response, options);
}

const CHECK = 'The call may have had its effect: check before calling again.';

function brokenAnswer(id: string | number): HttpAnswer {
  return errorAnswer(200, id, RPC.notServed, `The connector’s reply broke off. ${CHECK}`);
}

function unkeptAnswer(id: string | number): HttpAnswer {
  return errorAnswer(
    200,
    id,
    RPC.notServed,
    `The connection was lost, and the reply is too large to be kept. ${CHECK}`,
  );
}
