import { spawnSync } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import { Client } from 'pg';
import { KEEP_MEMORIES } from '../src/adapters/store/task-place-repository.ts';
import { type EmbeddedPostgres, startPostgres } from '../test/support/embedded-postgres.ts';
import { median } from './load.ts';
import { canPin, cpuUs } from './processes.ts';

/** A real PostgreSQL that commits to the disk, with a database for each gateway that is measured. */
export interface BenchDatabase {
  /** URL of a new, empty database. */
  create(): Promise<string>;
  /** CPU time of all of its processes that are there, in microseconds. */
  cpuUs(): number;
  stop(): Promise<void>;
}

/** @param core where all of it stays; left out: anywhere */
export async function startDatabase(core?: number): Promise<BenchDatabase> {
  const postgres = await startPostgres({ fsync: true });
  // What it starts later stays where it is itself.
  if (core !== undefined && canPin)
    for (const pid of processesOf(postgres)) spawnSync('taskset', ['-cp', String(core), String(pid)]);
  let count = 0;
  const used = countDatabaseCpu();
  return {
    async create() {
      const name = `bench_${count++}`;
      const client = new Client({ connectionString: postgres.url('postgres') });
      await client.connect();
      try {
        await client.query(`create database ${name}`);
      } finally {
        await client.end();
      }
      return postgres.url(name);
    },
    cpuUs: () => used(postgres),
    stop: () => postgres.stop(),
  };
}

/** CPU time of all processes that a server has had, in microseconds; of one that has ended, what it had used when it was last looked at. */
export function countDatabaseCpu(): (postgres: EmbeddedPostgres) => number {
  const last = new Map<number, number>();
  return (postgres) => {
    for (const pid of processesOf(postgres)) {
      try {
        last.set(pid, cpuUs(pid));
      } catch {
        // It ended in between.
      }
    }
    let us = 0;
    for (const one of last.values()) us += one;
    return us;
  };
}

/**
 * What the database takes of a call by itself: how long a bare client waits for the statement that a call waits for, one after the other, in
 * milliseconds (median). On a row of its own, which goes again.
 */
export async function commitMs(url: string, count: number): Promise<number> {
  const client = new Client({ connectionString: url });
  const place = ['bench', 'probe'] as const;
  const took: number[] = [];
  await client.connect();
  try {
    await client.query(
      "insert into task_places (tenant, task, family, owner, fence, calls, memory) values ($1, $2, $2, 'probe', 1, 0, '{}')",
      [...place],
    );
    for (let calls = 1; calls <= count; calls += 1) {
      const startedAt = performance.now();
      const { rowCount } = await client.query({
        name: 'keep',
        text: KEEP_MEMORIES,
        values: [['probe'], [1], [calls], [MEMORY], 'bench', 'probe'],
      });
      took.push(performance.now() - startedAt);
      if (rowCount !== 1) throw new Error('the statement that was to be timed has changed nothing');
    }
    await client.query('delete from task_places where tenant = $1 and task = $2', [...place]);
  } finally {
    await client.end();
  }
  return median(took);
}

/** As long as that of a task without labels. */
const MEMORY = '{}';

function processesOf({ pid }: EmbeddedPostgres): number[] {
  const found = [pid];
  for (const name of readdirSync('/proc')) {
    if (!/^\d+$/.test(name)) continue;
    try {
      const stat = readFileSync(`/proc/${name}/stat`, 'latin1');
      if (Number(stat.slice(stat.lastIndexOf(')') + 2).split(' ')[1]) === pid) found.push(Number(name));
    } catch {
      // It ended in between.
    }
  }
  return found;
}
