import { messageOf, RemitError } from '../domain/errors.ts';
import type { TenantId } from '../domain/ids.ts';
import type { Revocation, Standing } from '../domain/revocation.ts';
import type { Clock, Log, Schedule } from '../seams/clock.ts';
import type { RevocationRepository } from '../seams/store.ts';
import { BATCH, CONFIRMED_MS, POLL_MS, RETRY_MS } from './bounds.ts';

export interface RevocationReaderOptions {
  readonly tenant: TenantId;
  readonly repository: Pick<RevocationRepository, 'read' | 'standing'>;
  /** Kept up to date here, row by row; others read it. */
  readonly standing: Standing;
  /** Never set back nor forward: how long ago a reading was must not depend on the wall clock (V1). */
  readonly monotonic: Clock;
  readonly schedule: Schedule;
  readonly log: Log;
  /** Makes a row true here. What refuses callers happens before it returns; what the promise is about may take longer. */
  readonly apply: (row: Revocation) => Promise<unknown>;
  /** The gateway denies everything from now on, or serves again. Called once a change. */
  readonly onDenial: (change: Denial) => void;
}

export interface Denial {
  readonly isDenying: boolean;
  /** Last position that was confirmed. */
  readonly position: number;
  /** Milliseconds since the position was last confirmed; where denial has ended, since it was before that. */
  readonly unconfirmedMs: number;
  /** What went wrong with the last reading; undefined when there was none. */
  readonly fault: string | undefined;
}

export interface RevocationReader {
  /** Reads what holds and begins to follow. @throws `ERR_STORE_*` */
  start(): Promise<void>;
  /** Whether the position was confirmed within the bound: if not, nothing may be permitted. The one comparison of the hot path. */
  isCurrent(): boolean;
  /**
   * Reads on now: what a message of another node is good for, and all that it is good for (V3). Resolves when a reading that began after the
   * call is over, whether or not it succeeded.
   */
  poll(): Promise<void>;
  /**
   * Where the position was not confirmed within the bound: tries once more, not for long. A process that was not let run for a while has an old
   * reading and nothing wrong with its store, and whoever comes first after that need not be refused for it.
   * @returns whether it has become current by this
   */
  retry(): Promise<boolean>;
  /** Whether everything is denied now; somebody has met it, and so it is told of. */
  denies(): boolean;
  /** A row that was appended here: applied at once, or, when others came before it, with them. */
  take(row: Revocation): Promise<void>;
  close(): void;
}

/**
 * Follows the revocation log. Nothing is taken from a message: a position is confirmed by reading the store, and a reading counts from before
 * it was asked for, so that whoever permits has read every row that was durable `CONFIRMED_MS` before.
 */
export function createRevocationReader(options: RevocationReaderOptions): RevocationReader {
  const { tenant, repository, standing, monotonic, schedule, log } = options;
  let confirmedAt = Number.NEGATIVE_INFINITY;
  let validUntil = Number.NEGATIVE_INFINITY;
  let isDenying = false;
  let fault: string | undefined;
  let reading: Promise<void> | undefined;
  let next: Promise<void> | undefined;
  let cancel = (): void => {};
  let isClosed = false;

  function confirm(begun: number): void {
    fault = undefined;
    const before = confirmedAt;
    confirmedAt = begun;
    validUntil = begun + CONFIRMED_MS;
    look(before);
  }

  /**
   * Notices that denial began or ended. It is not looked for while a first reading after a pause of the whole process is about to be made: then
   * nothing was denied yet.
   */
  function look(since = confirmedAt): void {
    const now = monotonic();
    const shouldDeny = now >= validUntil;
    if (shouldDeny === isDenying || isClosed) return;
    isDenying = shouldDeny;
    options.onDenial({ isDenying, position: standing.position, unconfirmedMs: Math.round(now - since), fault });
  }

  function applyNext(row: Revocation): void {
    standing.note(row);
    options
      .apply(row)
      .catch((error: unknown) =>
        log.error(
          { position: row.position, error: messageOf(error) },
          'what a revocation ends could not all be ended yet',
        ),
      );
  }

  async function read(): Promise<void> {
    for (;;) {
      const begun = monotonic();
      const after = standing.position;
      const { head, rows } = await repository.read(tenant, after, BATCH);
      if (head < after) throw broken(`ends at ${head}, and had reached ${after}`);
      for (const row of rows) {
        // Meanwhile appended here, and applied.
        if (row.position <= standing.position) continue;
        if (row.position !== standing.position + 1) throw broken(`has a gap before ${row.position}`);
        applyNext(row);
      }
      if (standing.position >= head) return confirm(begun);
      if (rows.length === 0) throw broken(`has a gap before ${head}`);
    }
  }

  function begin(): Promise<void> {
    const begun = read()
      .catch((error: unknown) => {
        fault = messageOf(error);
        log.warn({ position: standing.position, error: fault }, 'the revocation log could not be read');
      })
      .finally(() => {
        reading = undefined;
        if (!isClosed) look();
      });
    reading = begun;
    return begun;
  }

  /** One reading at a time. One that is under way may have begun too early: the next one counts. */
  function poll(): Promise<void> {
    if (reading === undefined) return begin();
    next ??= reading.then(() => {
      next = undefined;
      return begin();
    });
    return next;
  }

  function tick(): void {
    if (isClosed) return;
    cancel = schedule(POLL_MS, tick);
    if (reading === undefined) void begin();
    else look();
  }

  return {
    async start() {
      const begun = monotonic();
      const { head, rows } = await repository.standing(tenant);
      standing.reset(head, rows);
      confirmedAt = begun;
      validUntil = begun + CONFIRMED_MS;
      cancel = schedule(POLL_MS, tick);
    },
    isCurrent: () => monotonic() < validUntil,
    poll,
    async retry() {
      if (monotonic() < validUntil || isClosed) return false;
      let stop = (): void => {};
      const late = new Promise<void>((resolve) => {
        stop = schedule(RETRY_MS, resolve);
      });
      await Promise.race([reading ?? begin(), late]);
      stop();
      return monotonic() < validUntil;
    },
    denies() {
      look();
      return monotonic() >= validUntil;
    },
    async take(row) {
      if (row.position === standing.position + 1) applyNext(row);
      while (standing.position < row.position) {
        await poll();
        if (fault !== undefined) return;
      }
    },
    close() {
      isClosed = true;
      cancel();
    },
  };
}

function broken(what: string): RemitError {
  return new RemitError('ERR_STORE_UNREACHABLE', `the revocation log ${what}`, {
    hint: 'The store was replaced or put back from a copy. Stop the gateway, look at what was lost, and start it again.',
  });
}
