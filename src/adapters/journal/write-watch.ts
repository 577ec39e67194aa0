import { type Stats, statSync } from 'node:fs';
import { messageOf, RemitError } from '../../domain/errors.ts';
import type { Schedule } from '../../seams/clock.ts';

export interface WriteWatchOptions {
  readonly schedule: Schedule;
  /** A write that takes longer has failed, found within twice this time. */
  readonly stallMs: number;
  /** How long a file that is not ours any more may go unnoticed while it is written to; 0 to ask after each write. */
  readonly checkMs: number;
}

/**
 * Watches the writes to one file: that each comes back within a bound, and that the path still names this file. Timers are
 * coarse, and run only while there is work: one for each bound, not one for each write.
 */
export class WriteWatch {
  readonly #path: string;
  readonly #opened: Stats;
  readonly #options: WriteWatchOptions;
  #writes = 0;
  #onStall: ((fault: RemitError) => void) | undefined;
  #cancelStall: (() => void) | undefined;
  #isCheckDue = true;
  #cancelCheck: (() => void) | undefined;
  #isStalled = false;

  constructor(path: string, options: WriteWatchOptions) {
    this.#path = path;
    this.#opened = statSync(path);
    this.#options = options;
  }

  /** Whether a write never came back, and may still reach the file. */
  get isStalled(): boolean {
    return this.#isStalled;
  }

  /** A write begins; it is over with `end`, or `onStall` is told that it does not come back. A disk that hangs must end in refusals (A3). */
  begin(onStall: (fault: RemitError) => void): void {
    this.#writes += 1;
    this.#onStall = onStall;
    if (this.#cancelStall === undefined) this.#watch();
  }

  end(): void {
    this.#onStall = undefined;
  }

  close(): void {
    this.#cancelStall?.();
    this.#cancelCheck?.();
  }

  #watch(): void {
    const watched = this.#writes;
    this.#cancelStall = this.#options.schedule(this.#options.stallMs, () => {
      this.#cancelStall = undefined;
      const tell = this.#onStall;
      if (tell === undefined) return;
      if (this.#writes !== watched) return this.#watch();
      this.#isStalled = true;
      this.end();
      tell(writeFault(this.#path, new Error(`no answer from the disk for ${this.#options.stallMs} ms`)));
    });
  }

  /**
   * Writing to a file that was deleted, moved or replaced succeeds and is lost; one that was cut, or that somebody else
   * wrote to, is no longer the log. The path must still name this file, with this length if that is certain. Asked after the first write and
   * then after the first write of each period: asking costs half as much as a write does.
   */
  findReplacement(length: number | undefined): RemitError | undefined {
    if (!this.#isCheckDue) return undefined;
    const { schedule, checkMs } = this.#options;
    this.#isCheckDue = checkMs === 0;
    this.#cancelCheck = schedule(checkMs, () => {
      this.#isCheckDue = true;
    });
    let stats: Stats | undefined;
    try {
      stats = statSync(this.#path, { throwIfNoEntry: false });
    } catch (cause) {
      return writeFault(this.#path, cause);
    }
    if (stats === undefined) return writeFault(this.#path, new Error('the file was deleted or moved'));
    if (stats.ino !== this.#opened.ino || stats.dev !== this.#opened.dev) {
      return writeFault(this.#path, new Error('the file was replaced by another one'));
    }
    if (length === undefined || stats.size === length) return undefined;
    return writeFault(this.#path, new Error(`the file has ${stats.size} bytes instead of ${length}`));
  }
}

const FULL = new Set(['ENOSPC', 'EDQUOT', 'EFBIG']);

const WHILE_SERVING = 'Every call is refused until the disk is mended and the gateway restarted.';

/** Where a folder or a file could not even be made or opened: nothing runs yet. */
export const AT_OPENING =
  'Let the user that runs the gateway own the folder, on a disk that can be written; then start it again.';

/** The fault for an error of the file system while writing. */
export function writeFault(path: string, cause: unknown, hint = WHILE_SERVING): RemitError {
  if (cause instanceof RemitError) return cause;
  const code = (cause as NodeJS.ErrnoException).code ?? '';
  if (FULL.has(code)) {
    const room = 'Make room for the data folder (or raise the limit on file sizes) and restart the gateway.';
    return new RemitError('ERR_JOURNAL_FULL', `no room for the journal (${code})`, { where: path, hint: room, cause });
  }
  return new RemitError('ERR_JOURNAL_FAILED', `the journal cannot be written: ${messageOf(cause)}`, {
    where: path,
    hint,
    cause,
  });
}
