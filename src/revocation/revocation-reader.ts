import { messageOf, RemitError } from '../domain/errors.ts';
import type { TenantId } from '../domain/ids.ts';
import { isSameRow, type LogRow, logRowOf } from '../domain/log-position.ts';
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
  /** Rows that count here, from the last one that a reading has found in the log to the last that was applied: the log must have them. */
  const known = new Map<number, LogRow>();
  let foundUpTo = 0;
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
    known.set(row.position, logRowOf(row));
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
      const [reached, from] = [standing.position, foundUpTo];
      // With the last one that is known: a store that was put back from a copy may have others there by now, and more of them.
      const { head, rows } = await repository.read(tenant, Math.max(from - 1, 0), BATCH);
      if (head < reached) throw broken(`ends at ${head}, and had reached ${reached}`);
      let next = Math.max(from, 1);
      for (const row of rows) {
        if (row.position !== next) throw broken(`has a gap before ${row.position}`);
        next += 1;
        find(row);
      }
      if (foundUpTo >= head) return confirm(begun);
      if (foundUpTo === from) throw broken(`has a gap before ${head}`);
    }
  }

  /** A row that the log has: applied, or the one that counts here already. */
  function find(row: Revocation): void {
    const { position } = row;
    if (position > standing.position) applyNext(row);
    const mine = known.get(position);
    if (mine === undefined || !isSameRow(mine, logRowOf(row))) throw broken(`has another row ${position} than before`);
    if (position === foundUpTo) return;
    known.delete(foundUpTo);
    foundUpTo = position;
  }

  function begin(): Promise<void> {
    const begun = read()
      .catch((error: unknown) => {
        fault = messageOf(error);
        const hint = error instanceof RemitError ? error.hint : undefined;
        log.warn({ position: standing.position, error: fault, hint }, 'the revocation log could not be read');
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
      const [last] = head === 0 ? [] : (await repository.read(tenant, head - 1, 1)).rows;
      standing.reset(head, rows);
      if (last !== undefined) known.set(head, logRowOf(last));
      foundUpTo = head;
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
    hint: 'The store was replaced or put back from a copy: put the right one in place; or stop the gateway, and start it again: it says what to do.',
  });
}
