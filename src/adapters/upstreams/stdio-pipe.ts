import type { Schedule } from '../../seams/clock.ts';
import type { ContainedChild } from './contained-child.ts';
import { type Incoming, onOneLine, readMessage } from './json-rpc.ts';
import { LineReader } from './line-reader.ts';
import { protocolFault, unreachable } from './upstream-faults.ts';

/** Bounds on what one server may do to us (fault 24). */
const MOST_GARBAGE_LINES = 100;
const MOST_GARBAGE_BYTES = 64 * 1024;
/** Answers to the server's own requests, waiting because it does not read. */
const MOST_WAITING_ANSWERS = 256;

export interface StdioPipeOptions {
  readonly child: ContainedChild;
  readonly schedule: Schedule;
  readonly maxLineBytes: number;
  /** What the operator knows the connector by. */
  readonly where: string;
  /** Sees each line first. @returns whether it is done with */
  readonly takeLine: (line: string) => boolean;
  readonly onMessage: (message: Exclude<Incoming, { kind: 'garbage' }>) => void;
  /** Called once; nothing is heard afterwards. */
  readonly onFault: (fault: Error) => void;
}

interface QueuedLine {
  readonly text: string;
  /** Request that it carries; taken out of the queue when that is given up. */
  readonly requestId: number | undefined;
}

/** The pipes of one child: one message a line (MCP basic/transports, stdio), bounded both ways. */
export class StdioPipe {
  readonly #options: StdioPipeOptions;
  readonly #child: ContainedChild;
  readonly #reader: LineReader;
  #queue: QueuedLine[] = [];
  #waitingAnswers = 0;
  #garbage = { lines: 0, bytes: 0 };
  #fault: Error | undefined;
  #hasExited = false;

  constructor(options: StdioPipeOptions) {
    this.#options = options;
    this.#child = options.child;
    this.#reader = new LineReader({
      maxBytes: options.maxLineBytes,
      onLine: (line) => this.#hear(line),
      onOverflow: () => this.fail(protocolFault(`A line exceeds ${options.maxLineBytes} bytes`, this.#where)),
    });
    const { stdin, stdout } = this.#child;
    stdout.on('data', (chunk: Buffer) => this.#reader.push(chunk));
    stdin.on('drain', () => this.#flush());
    // A server that closed one of its pipes can be of no more use, even if its process lives on.
    stdin.on('error', () => this.#failSoon('The connector no longer reads'));
    stdout.on('end', () => this.#failSoon('The connector closed its output'));
    void this.#child.exited.then((how) => {
      this.#hasExited = true;
      this.fail(unreachable(`The connector's process ended (${how})`, this.#where));
    });
  }

  /** Why it is of no more use; undefined while it is. */
  get fault(): Error | undefined {
    return this.#fault;
  }

  /** Whether the process has ended, for whatever reason. */
  get hasExited(): boolean {
    return this.#hasExited;
  }

  /** Writes one message, when the server reads. */
  write(text: string, requestId?: number): void {
    if (this.#fault !== undefined) return;
    const line = onOneLine(text);
    const { stdin } = this.#child;
    if (this.#queue.length === 0 && !stdin.writableNeedDrain) stdin.write(`${line}\n`);
    else this.#queue.push({ text: line, requestId });
  }

  /** Takes a request back that was not written yet (guarantee I2). @returns whether it could be */
  withdraw(requestId: number): boolean {
    const waiting = this.#queue.findIndex((line) => line.requestId === requestId);
    if (waiting !== -1) this.#queue.splice(waiting, 1);
    return waiting !== -1;
  }

  /** Writes an answer to a request of the server, which may ask no faster than it reads. */
  answer(text: string): void {
    this.#waitingAnswers = this.#child.stdin.writableNeedDrain ? this.#waitingAnswers + 1 : 0;
    if (this.#waitingAnswers <= MOST_WAITING_ANSWERS) this.write(text);
    else this.fail(protocolFault('The connector floods requests and does not read the answers', this.#where));
  }

  /** Ends the process at once: it broke the protocol, or is gone. */
  fail(fault: Error): void {
    if (this.#fault !== undefined) return;
    this.end(fault);
    void this.#child.kill();
  }

  /** Hears and writes nothing any more. */
  end(fault: Error): void {
    if (this.#fault !== undefined) return;
    this.#fault = fault;
    this.#reader.stop();
    this.#queue = [];
    this.#options.onFault(fault);
  }

  get #where(): { where: string } {
    return { where: this.#options.where };
  }

  #hear(line: string): void {
    if (this.#options.takeLine(line) || line.trim() === '') return;
    const message = readMessage(line);
    if (message.kind === 'garbage') this.#tolerate(line);
    else this.#options.onMessage(message);
  }

  /** Banners and stray prints are common; a stream of them is not MCP. */
  #tolerate(line: string): void {
    this.#garbage.lines += 1;
    this.#garbage.bytes += line.length;
    if (this.#garbage.lines <= MOST_GARBAGE_LINES && this.#garbage.bytes <= MOST_GARBAGE_BYTES) return;
    this.fail(protocolFault('The connector writes lines that are not JSON-RPC', this.#where));
  }

  #flush(): void {
    const { stdin } = this.#child;
    while (this.#queue.length > 0 && !stdin.writableNeedDrain && this.#fault === undefined)
      stdin.write(`${(this.#queue.shift() as QueuedLine).text}\n`);
  }

  /** The end of the process usually follows at once, and says more. */
  #failSoon(message: string): void {
    if (this.#fault !== undefined) return;
    const cancel = this.#options.schedule(200, () => this.fail(unreachable(message, this.#where)));
    void this.#child.exited.then(cancel);
  }
}
