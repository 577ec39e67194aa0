import { close, constants, open, statSync, write } from 'node:fs';
import { promisify } from 'node:util';
import type { RemitError } from '../../domain/errors.ts';
import { AT_OPENING, WriteWatch, type WriteWatchOptions, writeFault } from './write-watch.ts';

/** `fs.write` at a position, or at the end without one, with a callback: replaceable so that tests can make the disk fail. */
export type WriteBytes = (
  fd: number,
  bytes: Buffer,
  offset: number,
  length: number,
  position: number | null,
  done: (error: NodeJS.ErrnoException | null, written: number) => void,
) => void;

export interface AppendFileOptions extends WriteWatchOptions {
  readonly write?: WriteBytes | undefined;
}

export const writeBytes: WriteBytes = (fd, bytes, offset, length, position, done) =>
  write(fd, bytes, offset, length, position, done);

/**
 * A file that only grows: the checkpoints. Opened with O_DSYNC: a write that has come back is durable, with no second
 * system call. One append at a time; after a failed one the file can only be closed.
 */
export class AppendFile {
  readonly path: string;
  readonly #fd: number;
  readonly #watch: WriteWatch;
  readonly #write: WriteBytes;
  #length: number;

  private constructor(path: string, fd: number, length: number, options: AppendFileOptions) {
    this.path = path;
    this.#fd = fd;
    this.#length = length;
    this.#watch = new WriteWatch(path, options);
    this.#write = options.write ?? writeBytes;
  }

  /** Opens an existing file, or makes an empty one, readable by its owner only. */
  static async open(path: string, options: AppendFileOptions): Promise<AppendFile> {
    const flags = constants.O_WRONLY | constants.O_APPEND | constants.O_DSYNC | constants.O_CREAT;
    const fd = await promisify(open)(path, flags, 0o600).catch((cause) => {
      throw writeFault(path, cause, AT_OPENING);
    });
    return new AppendFile(path, fd, statSync(path).size, options);
  }

  /** Bytes that are durable. */
  get length(): number {
    return this.#length;
  }

  get isStalled(): boolean {
    return this.#watch.isStalled;
  }

  /**
   * Appends `bytes`; calls `done` without an error once they are durable in the file that the path names, or with the
   * fault. The disk may take a part only: then the rest is written next, and the disk says why not.
   */
  append(bytes: Buffer, done: (fault: RemitError | undefined) => void): void {
    this.#watch.begin(done);
    let offset = 0;
    const step = (error: NodeJS.ErrnoException | null, written: number): void => {
      if (this.#watch.isStalled) return;
      offset += error === null ? written : 0;
      if (error === null && written > 0 && offset < bytes.length) {
        this.#write(this.#fd, bytes, offset, bytes.length - offset, null, step);
        return;
      }
      this.#watch.end();
      if (error !== null || offset < bytes.length) {
        done(writeFault(this.path, error ?? new Error('the disk took no byte')));
      } else {
        this.#length += bytes.length;
        done(this.#watch.findReplacement(this.#length));
      }
    };
    this.#write(this.#fd, bytes, 0, bytes.length, null, step);
  }

  /** Closes the file; a stalled one stays open, since its number must not be given to another file. */
  async close(): Promise<void> {
    this.#watch.close();
    if (!this.isStalled) await promisify(close)(this.#fd);
  }
}
