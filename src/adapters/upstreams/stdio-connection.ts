import type { Schedule } from '../../seams/clock.ts';
import type { Upstream, UpstreamReply } from '../../seams/upstream.ts';
import type { ContainedChild } from './contained-child.ts';
import { answerText, cancellationText, nextRequestId, onOneLine, readMessage, requestText } from './json-rpc.ts';
import { LineReader } from './line-reader.ts';
import { abortFault, protocolFault, timedOut, unreachable } from './upstream-faults.ts';

/** Bounds on what one server may do to us. */
const MOST_GARBAGE_LINES = 100;
const MOST_GARBAGE_BYTES = 64 * 1024;
/** Answers to the server's own requests, waiting because it does not read. */
const MOST_WAITING_ANSWERS = 256;

export interface StdioConnectionOptions {
  readonly child: ContainedChild;
  readonly schedule: Schedule;
  readonly maxLineBytes: number;
  /** What the operator knows the connector by. */
  readonly where: string;
}

interface PendingRequest {
  readonly resolve: (reply: UpstreamReply) => void;
  readonly reject: (error: Error) => void;
}

interface QueuedLine {
  readonly text: string;
  /** Request that it carries; taken out of the queue when that is given up. */
  readonly requestId?: number;
}

/** JSON-RPC over the pipes of one child: one message a line (MCP basic/transports, stdio). */
export class StdioConnection implements Upstream {
  readonly closed: Promise<void>;
  readonly #options: StdioConnectionOptions;
  readonly #child: ContainedChild;
  readonly #pending = new Map<number, PendingRequest>();
  readonly #reader: LineReader;
  #queue: QueuedLine[] = [];
  #waitingAnswers = 0;
  #garbage = { lines: 0, bytes: 0 };
  #fault: Error | undefined;

  constructor(options: StdioConnectionOptions) {
    this.#options = options;
    this.#child = options.child;
    this.closed = this.#child.gone;
    this.#reader = new LineReader({
      maxBytes: options.maxLineBytes,
      onLine: (line) => this.#hear(line),
      onOverflow: () => this.#fail(protocolFault(`A line exceeds ${options.maxLineBytes} bytes`, this.#where)),
    });
    const { stdin, stdout } = this.#child;
    stdout.on('data', (chunk: Buffer) => this.#reader.push(chunk));
    stdin.on('drain', () => this.#flush());
    // A server that closed one of its pipes can be of no more use, even if its process lives on.
    stdin.on('error', () => this.#fail(unreachable('The connector no longer reads', this.#where)));
    stdout.on('end', () => this.#failSoon('The connector closed its output'));
    void this.#child.exited.then((how) =>
      this.#fail(unreachable(`The connector's process ended (${how})`, this.#where)),
    );
  }

  get pid(): number {
    return this.#child.pid;
  }

  /** Why the connection is of no more use; undefined while it is. */
  get fault(): Error | undefined {
    return this.#fault;
  }

  request(
    method: string,
    params: string,
    options: { signal?: AbortSignal; timeoutMs: number },
  ): Promise<UpstreamReply> {
    const { signal, timeoutMs } = options;
    if (this.#fault !== undefined) return Promise.reject(this.#fault);
    if (signal?.aborted) return Promise.reject(abortFault(signal));
    const id = nextRequestId();
    return new Promise((resolve, reject) => {
      const settle = (): void => {
        this.#pending.delete(id);
        cancelTimer();
        signal?.removeEventListener('abort', onAbort);
      };
      const giveUp = (error: Error, reason: string): void => {
        this.#pending.get(id)?.reject(error);
        const waiting = this.#queue.findIndex((line) => line.requestId === id);
        if (waiting !== -1) this.#queue.splice(waiting, 1);
        else if (method !== 'initialize') this.#write({ text: cancellationText(id, reason) });
      };
      const cancelTimer = this.#options.schedule(timeoutMs, () => {
        giveUp(timedOut(`No reply to ${method} within ${timeoutMs} ms`, this.#where), 'timeout');
      });
      const onAbort = (): void => giveUp(abortFault(signal as AbortSignal), 'cancelled');
      signal?.addEventListener('abort', onAbort, { once: true });
      this.#pending.set(id, {
        resolve: (reply) => {
          settle();
          resolve(reply);
        },
        reject: (error) => {
          settle();
          reject(error);
        },
      });
      this.#write({ text: onOneLine(requestText(id, method, params)), requestId: id });
    });
  }

  notify(text: string): void {
    this.#write({ text });
  }

  async close(): Promise<void> {
    this.#end(unreachable('The connection was closed', this.#where));
    await this.#child.close();
  }

  get #where(): { where: string } {
    return { where: this.#options.where };
  }

  #hear(line: string): void {
    if (line.trim() === '') return;
    const message = readMessage(line);
    switch (message.kind) {
      case 'reply':
        // An id that is not pending belongs to a request given up before.
        this.#pending.get(message.id)?.resolve(message.reply);
        return;
      case 'malformed_reply':
        this.#pending.get(message.id)?.reject(protocolFault('The reply is not valid JSON-RPC', this.#where));
        return;
      case 'request':
        this.#answer(answerText(message));
        return;
      case 'notification':
        return;
      case 'garbage':
        this.#tolerate(line);
    }
  }

  /** Banners and stray prints are common; a stream of them is not MCP. */
  #tolerate(line: string): void {
    this.#garbage.lines += 1;
    this.#garbage.bytes += line.length;
    if (this.#garbage.lines <= MOST_GARBAGE_LINES && this.#garbage.bytes <= MOST_GARBAGE_BYTES) return;
    this.#fail(protocolFault('The connector writes lines that are not JSON-RPC', this.#where));
  }

  #answer(text: string): void {
    this.#waitingAnswers = this.#child.stdin.writableNeedDrain ? this.#waitingAnswers + 1 : 0;
    if (this.#waitingAnswers > MOST_WAITING_ANSWERS) {
      this.#fail(protocolFault('The connector floods requests and does not read the answers', this.#where));
      return;
    }
    this.#write({ text });
  }

  #write(line: QueuedLine): void {
    if (this.#fault !== undefined) return;
    this.#queue.push(line);
    this.#flush();
  }

  #flush(): void {
    const { stdin } = this.#child;
    while (this.#queue.length > 0 && !stdin.writableNeedDrain && this.#fault === undefined) {
      const line = this.#queue.shift() as QueuedLine;
      stdin.write(`${line.text}\n`);
    }
  }

  /** The end of the process usually follows at once, and says more. */
  #failSoon(message: string): void {
    if (this.#fault !== undefined) return;
    const cancel = this.#options.schedule(200, () => this.#fail(unreachable(message, this.#where)));
    void this.#child.exited.then(cancel);
  }

  #fail(error: Error): void {
    if (this.#fault !== undefined) return;
    this.#end(error);
    void this.#child.kill();
  }

  #end(error: Error): void {
    this.#fault ??= error;
    this.#reader.stop();
    this.#queue = [];
    for (const pending of [...this.#pending.values()]) pending.reject(this.#fault);
  }
}
