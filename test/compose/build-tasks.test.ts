import { randomBytes } from 'node:crypto';
import { Client } from 'pg';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { openPostgres } from '../../src/adapters/store/open-postgres.ts';
import { buildTasks } from '../../src/compose/build-tasks.ts';
import { agentId, templateId, tenantId } from '../../src/domain/ids.ts';
import { Standing } from '../../src/domain/revocation.ts';
import type { TaskTemplate } from '../../src/domain/task.ts';
import type { Store } from '../../src/seams/store.ts';
import type { TaskRegistry } from '../../src/tasks/task-registry.ts';
import { useStoresOfOnePostgres } from '../support/stores-of-one-postgres.ts';

/** The start of a task on a real PostgreSQL that fails at one statement. */
const TENANT = tenantId('acme');
const AGENT = agentId('bot');
const TEMPLATE = templateId('triage');
const template: TaskTemplate = {
  id: TEMPLATE,
  owner: 'owner@example.com',
  purpose: 'Answer customers',
  agents: [AGENT],
  bounds: { actionClasses: ['read'], tools: ['crm/*'], resources: [], calls: 3 },
  maxDurationSeconds: 60,
  requiresUser: false,
};

const shared = useStoresOfOnePostgres();
let store: Store;
let other: Client;

beforeEach(async () => {
  store = await openPostgres({ url: shared.url, lockMs: 300 });
  other = new Client({ connectionString: shared.url });
  other.on('error', () => {});
  await other.connect();
});
afterEach(async () => {
  await other.end();
  await store.close();
});

function build() {
  const records: string[] = [];
  const keys = new Set<string>();
  const state = { recordFault: undefined as Error | undefined };
  const log = { debug() {}, info() {}, warn() {}, error() {} };
  const parts = {
    workspace: {
      store,
      estate: { tenant: TENANT, templates: new Map([[TEMPLATE, template]]) },
      system: { clock: Date.now, random: (size: number) => randomBytes(size), schedule: () => () => {}, log },
    },
    standing: new Standing(),
    taskKeys: { create: async (id: string) => void keys.add(id), forget: (id: string) => void keys.delete(id) },
    recorder: {
      async record({ type }: { type: string }) {
        if (state.recordFault !== undefined) throw state.recordFault;
        records.push(type);
      },
    },
    nodes: () => ({
      own: (task: string) => store.shared?.places.own(TENANT, 'na', task as never, task as never),
      ledger: { add() {} },
    }),
  };
  return { tasks: buildTasks(parts as never) satisfies TaskRegistry, records, keys, state };
}

const start = (tasks: TaskRegistry) =>
  tasks.start({ agent: AGENT, user: undefined, declaration: { template: TEMPLATE } });

const rowsOf = async (table: string): Promise<number> =>
  Number(((await shared.query(`select count(*) as n from ${table}`)) as { n: string }[])[0]?.n);
const nothing = { tasks: 0, places: 0 };
const left = async () => ({ tasks: await rowsOf('tasks'), places: await rowsOf('task_places') });

const LOCK = `hashtextextended('${JSON.stringify(['tasks', TENANT, AGENT])}', 0)`;
const WAITS = `select pid from pg_stat_activity where wait_event_type = 'Lock' and query like '%pg_advisory_xact_lock%'`;

describe('D1 a task whose start the store fails is none, and the next one is', () => {
  it('where the lock of the agent’s tasks is another’s for too long', async () => {
    const { tasks, records, keys } = build();
    await other.query(`select pg_advisory_lock(${LOCK})`);
    await expect(start(tasks)).rejects.toMatchObject({ code: 'ERR_STORE_LOCKED' });
    expect(await left()).toEqual(nothing);
    expect({ live: tasks.live(), records, keys: [...keys] }).toEqual({ live: [], records: [], keys: [] });
    await other.query(`select pg_advisory_unlock(${LOCK})`);
    expect(await start(tasks)).toMatchObject({ state: 'active' });
    expect(await left()).toEqual({ tasks: 1, places: 1 });
  });

  it('where the connection is lost while it waits for the lock', async () => {
    await store.close();
    store = await openPostgres({ url: shared.url, lockMs: 10_000, statementMs: 12_000 });
    const { tasks, records } = build();
    await other.query(`select pg_advisory_lock(${LOCK})`);
    const failed = expect(start(tasks)).rejects.toMatchObject({ code: 'ERR_STORE_UNREACHABLE' });
    const pid = await vi.waitFor(async () => {
      const [row] = (await shared.query(WAITS)) as { pid: number }[];
      if (row === undefined) throw new Error('it does not wait yet');
      return row.pid;
    }, 5_000);
    await shared.query(`select pg_terminate_backend(${pid})`);
    await failed;
    expect(await left()).toEqual(nothing);
    expect({ live: tasks.live(), records }).toEqual({ live: [], records: [] });
    await other.query(`select pg_advisory_unlock(${LOCK})`);
    expect(await start(tasks)).toMatchObject({ state: 'active' });
  });

  it('where the row cannot be written: the lock is free at once', async () => {
    const { tasks, records } = build();
    await shared.query(`create function full_disk() returns trigger language plpgsql as
      $$ begin raise exception 'no space' using errcode = '53100'; end $$`);
    await shared.query('create trigger full_disk before insert on tasks for each row execute function full_disk()');
    await expect(start(tasks)).rejects.toMatchObject({ code: 'ERR_STORE_FULL' });
    expect(await left()).toEqual(nothing);
    expect((await other.query(`select pg_try_advisory_lock(${LOCK}) as is_free`)).rows).toEqual([{ is_free: true }]);
    await other.query(`select pg_advisory_unlock(${LOCK})`);
    expect(records).toEqual([]);
    await shared.query('drop trigger full_disk on tasks');
    expect(await start(tasks)).toMatchObject({ state: 'active' });
  });

  it('where the trail does not take it: the row is ended, and its place and key are gone', async () => {
    const { tasks, state, keys } = build();
    state.recordFault = new Error('the journal is full');
    await expect(start(tasks)).rejects.toThrow('the journal is full');
    expect(await store.tasks.list(TENANT)).toMatchObject([{ state: 'ended', endReason: 'revoked' }]);
    expect({ places: await rowsOf('task_places'), keys: [...keys] }).toEqual({ places: 0, keys: [] });
    state.recordFault = undefined;
    expect(await start(tasks)).toMatchObject({ state: 'active' });
  });
});
