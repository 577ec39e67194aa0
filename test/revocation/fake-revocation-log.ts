/** fake-revocation-log: the log of revocations in memory, which fails, hangs and loses answers when told to. Listed in docs/fakes.md. */
import { tenantId } from '../../src/domain/ids.ts';
import type { Revocation, RevocationAction, RevocationEntry, RevocationSubject } from '../../src/domain/revocation.ts';
import type { RevocationRepository } from '../../src/seams/store.ts';

export const TENANT = tenantId('default');

export interface FakeRevocationLog extends RevocationRepository {
  readonly rows: Revocation[];
  /** What becomes of readings, by reader: they fail, or wait until `release`. */
  mode: 'serves' | 'fails' | 'hangs';
  /** The next append is made, and its answer is lost. */
  losesNextAnswer: boolean;
  release(): void;
}

export function createFakeRevocationLog(rows: Revocation[] = []): FakeRevocationLog {
  const waiting: (() => void)[] = [];
  const serve = async <T>(answer: () => T): Promise<T> => {
    if (log.mode === 'fails') throw new Error('the store does not answer');
    // A slow answer tells what there was when it was asked for.
    const seen = answer();
    if (log.mode === 'hangs') await new Promise<void>((resolve) => waiting.push(resolve));
    return seen;
  };
  const log: FakeRevocationLog = {
    rows,
    mode: 'serves',
    losesNextAnswer: false,
    release() {
      for (const resolve of waiting.splice(0)) resolve();
    },
    async append(entry) {
      if (log.mode !== 'serves') throw new Error('the store does not answer');
      const row = { ...entry, position: rows.length + 1 };
      rows.push(row);
      if (log.losesNextAnswer) {
        log.losesNextAnswer = false;
        throw new Error('the answer was lost');
      }
      return row;
    },
    read: (_tenant, after, limit) => serve(() => ({ head: rows.length, rows: rows.slice(after, after + limit) })),
    standing: () => serve(() => ({ head: rows.length, rows: [] })),
  };
  return log;
}

export const entryOf = (
  action: RevocationAction,
  kind: RevocationSubject['kind'] = 'all',
  id = '',
): RevocationEntry => ({ tenant: TENANT, action, subject: { kind, id }, by: 'dana', reason: 'test', at: 0 });

/** A monotonic clock and timers that a test moves. */
export function createFakeTime() {
  const timers = new Set<{ at: number; task: () => void }>();
  const time = {
    now: 1_000,
    schedule(ms: number, task: () => void) {
      const timer = { at: time.now + ms, task };
      timers.add(timer);
      return () => void timers.delete(timer);
    },
    /** Lets time pass; timers that come due run in their order, each followed by whatever it set off. */
    async pass(ms: number): Promise<void> {
      const until = time.now + ms;
      for (;;) {
        const [due] = [...timers].filter(({ at }) => at <= until).sort((a, b) => a.at - b.at);
        if (due === undefined) break;
        timers.delete(due);
        time.now = Math.max(time.now, due.at);
        due.task();
        await settle();
      }
      time.now = until;
    },
    /** The process stands still (SIGSTOP, a long collection): time goes on, no timer runs. */
    stall(ms: number): void {
      time.now += ms;
    },
  };
  return time;
}

/** Lets everything run that waits for nothing but its turn. */
export async function settle(): Promise<void> {
  for (let turn = 0; turn < 12; turn += 1) await Promise.resolve();
}
