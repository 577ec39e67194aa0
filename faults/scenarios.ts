import { copyFile, readdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Home } from '../crash/estate.ts';
import type { FickleProxy } from './fickle-proxy.ts';
import { type FaultyGateway, signalTo } from './gateway.ts';
import type { Injection } from './injection.ts';

/** What a scenario may do while the gateway is under load. */
export interface Scene {
  readonly home: Home;
  readonly gateway: FaultyGateway;
  /** In front of the store's PostgreSQL; of scenarios with `store` alone. */
  readonly store: FickleProxy | undefined;
  /** Statements of the store's database's administrator. */
  sql(statement: string): Promise<void>;
  /** Writes what the clock of the gateway reads, as libfaketime wants it: `+2h`. */
  setClock(offset: string): Promise<void>;
  pause(ms: number): Promise<void>;
}

export interface Scenario {
  readonly name: string;
  readonly injection?: Injection;
  /** Store in PostgreSQL, behind a proxy. */
  readonly store?: true;
  readonly clock?: true;
  /** The journal on a file system that is almost full. */
  readonly full?: true;
  readonly during?: (scene: Scene) => Promise<void>;
  /** How long there is load. */
  readonly loadMs?: number;
  /** What the next start must be. */
  readonly next?: 'serving' | 'revoke_only';
  /** The gateway must have answered calls again before the end. */
  readonly recovers?: true;
  readonly quick?: true;
}

const LOG = 'journal/00000000.log';
const NOTES = 'journal/checkpoints';

const inject = (name: string, call: string, file: string, how: string, more: Partial<Scenario> = {}): Scenario => ({
  name,
  injection: { call, file, how },
  ...more,
});

/** Times are counted for each thread: the disk's work goes round four of them. */
export function scenarios(): Scenario[] {
  return [
    { name: 'no fault at all', recovers: true, quick: true },
    ...[1, 6, 20].map((n) =>
      inject(`EIO at write ${n} of the log`, 'pwrite64', LOG, `error=EIO:when=${n}+`, n === 6 ? { quick: true } : {}),
    ),
    ...[2, 12].map((n) => inject(`ENOSPC at write ${n} of the log`, 'pwrite64', LOG, `error=ENOSPC:when=${n}+`)),
    inject('a short write of the log', 'pwrite64', LOG, 'retval=512:when=5', { recovers: true, quick: true }),
    inject('a write of the log that takes nothing', 'pwrite64', LOG, 'retval=0:when=5'),
    ...[1, 3, 6, 12].map((n) =>
      inject(
        `SIGKILL at write ${n} of the log`,
        'pwrite64',
        LOG,
        `signal=KILL:when=${n}`,
        n === 3 ? { quick: true } : {},
      ),
    ),
    inject('a log that hangs', 'pwrite64', LOG, 'delay_enter=60s:when=6+', { loadMs: 20_000 }),
    inject('a log that is slow', 'pwrite64', LOG, 'delay_enter=40ms', { recovers: true }),
    inject('EIO when the log is opened', 'openat', LOG, 'error=EIO:when=1+'),
    inject('EMFILE when the log is opened', 'openat', LOG, 'error=EMFILE:when=2+'),
    inject('EIO at a checkpoint', 'write', NOTES, 'error=EIO:when=2+'),
    inject('SIGKILL at a checkpoint', 'write', NOTES, 'signal=KILL:when=2'),
    inject('SIGKILL when the key file is read', 'openat', 'journal/verifier.key', 'signal=KILL:when=1'),
    inject('EIO at writes of the store', 'pwrite64', 'remit.db-wal', 'error=EIO:when=40+', { quick: true }),
    inject('ENOSPC at writes of the store', 'pwrite64', 'remit.db-wal', 'error=ENOSPC:when=60+'),
    ...[20, 60].map((n) =>
      inject(`SIGKILL at write ${n} of the store`, 'pwrite64', 'remit.db-wal', `signal=KILL:when=${n}`),
    ),
    inject('EIO at a sync of the store', 'fsync,fdatasync', 'remit.db-wal', 'error=EIO:when=12+'),
    inject('SIGKILL at a sync of the store', 'fsync,fdatasync', 'remit.db-wal', 'signal=KILL:when=9'),
    { name: 'a full file system', full: true, loadMs: 15_000 },
    {
      name: 'the log is deleted',
      quick: true,
      next: 'revoke_only',
      during: ({ home }) => rm(join(home.data, LOG)),
    },
    {
      name: 'the log is replaced by an older copy',
      next: 'revoke_only',
      async during({ home, pause }) {
        const log = join(home.data, LOG);
        await copyFile(log, `${log}.copy`);
        await pause(1_500);
        await rename(`${log}.copy`, log);
      },
    },
    {
      name: 'a byte of the log is changed',
      next: 'revoke_only',
      async during({ home, gateway }) {
        await gateway.end('SIGKILL');
        const newest = (await readdir(join(home.data, 'journal')))
          .filter((name) => name.endsWith('.log'))
          .sort()
          .at(-1);
        const path = join(home.data, 'journal', newest ?? '');
        const bytes = await readFile(path);
        const at = 4096 + 200;
        bytes[at] = (bytes[at] as number) ^ 1;
        await writeFile(path, bytes);
      },
    },
    {
      name: 'SIGSTOP for six seconds',
      recovers: true,
      loadMs: 10_000,
      async during({ gateway, pause }) {
        signalTo(gateway.pid, 'SIGSTOP');
        await pause(6_000);
        signalTo(gateway.pid, 'SIGCONT');
      },
    },
    ...['+2h', '-2h', '+1d'].map(
      (offset): Scenario => ({
        name: `the wall clock jumps by ${offset}`,
        clock: true,
        loadMs: 5_000,
        during: ({ setClock }) => setClock(offset),
      }),
    ),
    {
      name: 'the database is down for a while',
      store: true,
      recovers: true,
      loadMs: 9_000,
      async during({ store, pause }) {
        store?.set('refuse');
        await pause(2_500);
        store?.set('pass');
      },
    },
    {
      name: 'the database hangs for a while',
      store: true,
      recovers: true,
      loadMs: 12_000,
      async during({ store, pause }) {
        store?.set('hold');
        await pause(4_000);
        store?.set('pass');
      },
    },
    {
      name: 'the database is slow',
      store: true,
      loadMs: 6_000,
      async during({ store, pause }) {
        store?.set({ slowMs: 150 });
        await pause(4_500);
        store?.set('pass');
      },
    },
    {
      name: 'the database is read-only for a while',
      store: true,
      recovers: true,
      loadMs: 9_000,
      async during({ sql, store, pause }) {
        await sql('ALTER DATABASE remit_store SET default_transaction_read_only = on');
        store?.set('refuse');
        store?.set('pass');
        await pause(2_500);
        await sql('ALTER DATABASE remit_store RESET default_transaction_read_only');
        store?.set('refuse');
        store?.set('pass');
      },
    },
  ];
}
