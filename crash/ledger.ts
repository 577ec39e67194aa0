import { copyFile, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import Libsql from 'libsql';
import pg from 'pg';
import { readRecords } from '../src/audit/read-records.ts';
import { createJournalAccess } from '../src/compose/trail/journal-access.ts';
import type { LeaseState } from '../src/domain/lease.ts';
import type { AuditRecord } from '../src/domain/record.ts';
import type { Home } from './estate.ts';

/** What the store says of a lease, read beside Remit's own code. */
export interface LeaseRow {
  readonly id: string;
  readonly tag: string;
  readonly connector: string;
  readonly state: LeaseState;
  readonly intendedAt: number;
  readonly issueDeadline: number;
}

const ROWS = `SELECT id, tag, connector, state, intended_at AS "intendedAt", issue_deadline AS "issueDeadline" FROM leases`;

/** Rows of a store that a gateway may be writing. */
export async function readLeases(home: Home): Promise<LeaseRow[]> {
  return home.storeUrl === undefined ? readSqlite(join(home.data, 'remit.db')) : readPostgres(home.storeUrl);
}

/** Rows as a killed gateway left them. Of a copy: whoever opens the file itself tidies up what the next gateway is to find. */
export async function readLeasesLeft(home: Home): Promise<LeaseRow[]> {
  if (home.storeUrl !== undefined) return readPostgres(home.storeUrl);
  const folder = await mkdtemp(join(tmpdir(), 'remit-crash-copy-'));
  try {
    for (const suffix of ['', '-wal']) {
      await copyFile(join(home.data, `remit.db${suffix}`), join(folder, `remit.db${suffix}`)).catch(() => {});
    }
    return readSqlite(join(folder, 'remit.db'));
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

function readSqlite(path: string): LeaseRow[] {
  const file = new Libsql(path, { timeout: 2_000 });
  try {
    return file.prepare(ROWS).all() as LeaseRow[];
  } catch (error) {
    // Killed before it had made its tables.
    if (error instanceof Error && error.message.includes('no such table')) return [];
    throw error;
  } finally {
    file.close();
  }
}

async function readPostgres(url: string): Promise<LeaseRow[]> {
  const client = new pg.Client({ connectionString: url });
  client.on('error', () => {});
  await client.connect();
  try {
    const { rows } = await client.query<LeaseRow>(ROWS);
    return rows.map((row) => ({
      ...row,
      intendedAt: Number(row.intendedAt),
      issueDeadline: Number(row.issueDeadline),
    }));
  } catch (error) {
    if (error instanceof pg.DatabaseError && error.code === '42P01') return []; // no such table yet
    throw error;
  } finally {
    await client.end();
  }
}

/** Every whole record. Nothing where there is no journal yet. */
export async function readTrail(home: Pick<Home, 'data'>): Promise<AuditRecord[]> {
  const records: AuditRecord[] = [];
  try {
    for await (const record of readRecords(createJournalAccess(join(home.data, 'journal')).read(0)))
      records.push(record);
  } catch (error) {
    if (!(error instanceof Error && 'code' in error && error.code === 'ERR_NOT_FOUND')) throw error;
  }
  return records;
}

/** Decisions that permit something and have no outcome: after a restart there must be none (A1). */
export function withoutOutcome(records: readonly AuditRecord[]): AuditRecord[] {
  const settled = new Set(records.filter(({ type }) => type === 'outcome').map(({ span }) => span));
  return records.filter(
    ({ type, span, detail }) =>
      type === 'decision' &&
      detail.verdict === 'permit' &&
      ['call', 'follow', 'ask'].includes(String(detail.effect)) &&
      !settled.has(span),
  );
}
