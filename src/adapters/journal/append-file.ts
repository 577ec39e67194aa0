import { close, constants, open, type Stats, statSync, write } from 'node:fs';
import { promisify } from 'node:util';
import { messageOf, RemitError } from '../../domain/errors.ts';
import type { Schedule } from '../../seams/clock.ts';

/** `fs.write` to the end of a file, with a callback: replaceable so that tests can make the disk fail. */
export type WriteBytes = (
  fd: number,
  bytes: Buffer,
  offset: number,
  length: number,
  done: (error: NodeJS.ErrnoException | null, written: number) => void,
) => void;

export interface AppendFileOptions {
  readonly schedule: Schedule;
  /** A write that takes longer has failed, found within twice this time. */
  readonly stallMs: number;
  readonly write?: WriteBytes | undefined;
}

const writeBytes: WriteBytes = (fd, bytes, offset, length, done) => write(fd, bytes, offset, length, null, done);

const FULL = new Set(['ENOSPC', 'EDQUOT', 'EFBIG']);

/**
 * A file that only grows. Opened with O_DSYNC: a write that has come back is durable, with no second system call.
 * One append at a time; after a failed one the file can only be closed.
 */
export class AppendFile {
  readonly path: string;
  readonly #fd: number;
  readonly #opened: Stats;
  readonly #options: AppendFileOptions;
  #length: number;
  #appends = 0;
  #done: ((fault: RemitError | undefined) => void) | undefined;
  #cancelWatch: (() => void) | undefined;
  #isStalled = false;

  private constructor(path: string, fd: number, opened: Stats, options: AppendFileOptions) {
    this.path = path;
    this.#fd = fd;
    this.#opened = opened;
    this.#length = opened.size;
    this.#options = options;
  }

  /** Opens an existing file, or makes an empty one, readable by its owner only. */
  static async open(path: string, options: AppendFileOptions): Promise<AppendFile> {
    const flags = constants.O_WRONLY | constants.O_APPEND | constants.O_DSYNC | constants.O_CREAT;
    const fd = await promisify(open)(path, flags, 0o600).catch((cause) => {
      throw writeFault(path, cause);
    });
    return new AppendFile(path, fd, statSync(path), options);
  }

  /** Bytes that are durable. */
  get length(): number {
    return this.#length;
  }

  /** Whether a write never came back, and may still reach the file. */
  get isStalled(): boolean {
    return this.#isStalled;
  }

  /**
   * Appends the first `length` of `bytes`; calls `done` without an error once they are durable in the file that the path
   * names, or with the fault. The disk may take a part only: then the rest is written next, and the disk says why not.
   */
  append(bytes: Buffer, length: number, done: (fault: RemitError | undefined) => void): void {
    this.#appends += 1;
    this.#done = done;
    if (this.#cancelWatch === undefined) this.#watch();
    const write = this.#options.write ?? writeBytes;
    let offset = 0;
    const step = (error: NodeJS.ErrnoException | null, written: number): void => {
      if (this.#isStalled) return;
      offset += error === null ? written : 0;
      if (error === null && written > 0 && offset < length) {
        write(this.#fd, bytes, offset, length - offset, step);
      } else if (error !== null || offset < length) {
        this.#settle(writeFault(this.path, error ?? new Error('the disk took no byte')));
      } else {
        this.#length += length;
        this.#settle(this.#findReplacement());
      }
    };
    write(this.#fd, bytes, 0, length, step);
  }

  #settle(fault: RemitError | undefined): void {
    const done = this.#done;
    this.#done = undefined;
    done?.(fault);
  }

  /** A disk that hangs must end in refusals, not in a hang (A3). One coarse timer while there is work, not one a write. */
  #watch(): void {
    const watched = this.#appends;
    this.#cancelWatch = this.#options.schedule(this.#options.stallMs, () => {
      this.#cancelWatch = undefined;
      if (this.#done === undefined) return;
      if (this.#appends !== watched) return this.#watch();
      this.#isStalled = true;
      this.#settle(writeFault(this.path, new Error(`no answer from the disk for ${this.#options.stallMs} ms`)));
    });
  }

  /** Closes the file; a stalled one stays open, since its number must not be given to another file. */
  async close(): Promise<void> {
    this.#cancelWatch?.();
    if (!this.#isStalled) await promisify(close)(this.#fd);
  }

  /**
   * Writing to a file that was deleted, moved or replaced succeeds and is lost; one that was cut, or that somebody else
   * wrote to, is no longer the log. The path must still name this file, with this length.
   */
  #findReplacement(): RemitError | undefined {
    let stats: Stats | undefined;
    try {
      stats = statSync(this.path, { throwIfNoEntry: false });
    } catch (cause) {
      return writeFault(this.path, cause);
    }
    if (stats === undefined) return writeFault(this.path, new Error('the file was deleted or moved'));
    if (stats.ino !== this.#opened.ino || stats.dev !== this.#opened.dev) {
      return writeFault(this.path, new Error('the file was replaced by another one'));
    }
    if (stats.size === this.#length) return undefined;
    return writeFault(this.path, new Error(`the file has ${stats.size} bytes instead of ${this.#length}`));
  }
}

/** The fault for an error of the file system while writing. */
export function writeFault(path: string, cause: unknown): RemitError {
  const code = (cause as NodeJS.ErrnoException).code ?? '';
  if (FULL.has(code)) {
    const hint = 'Make room for the data folder (or raise the limit on file sizes) and restart the gateway.';
    return new RemitError('ERR_JOURNAL_FULL', `no room for the journal (${code})`, { where: path, hint, cause });
  }
  return new RemitError('ERR_JOURNAL_FAILED', `the journal cannot be written: ${messageOf(cause)}`, {
    where: path,
    hint: 'Every call is refused until the disk is mended and the gateway restarted.',
    cause,
  });
}
