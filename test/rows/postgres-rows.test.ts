import { Client } from 'pg';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createPostgresRows } from '../../src/adapters/rows/postgres-rows.ts';
import { agentId, taskId } from '../../src/domain/ids.ts';
import type { OpenRecord } from '../../src/seams/record-rows.ts';
import { IDENTITY, TENANT } from '../audit/fixtures.ts';
import { type EmbeddedPostgres, startPostgres } from '../support/embedded-postgres.ts';

let server: EmbeddedPostgres;
let url: string;

beforeAll(async () => {
  server = await startPostgres({ fsync: false });
  url = server.url('postgres');
});
afterAll(() => server?.stop());

async function sql<T>(text: string): Promise<T[]> {
  const client = new Client({ connectionString: url });
  await client.connect();
  try {
    return (await client.query(text)).rows as T[];
  } finally {
    await client.end();
  }
}

const { lease: _, ...CALL } = IDENTITY;
const record = (seq: number, more: Partial<OpenRecord> = {}): OpenRecord => ({
  ...CALL,
  seq,
  time: new Date(Date.UTC(2026, 0, 1, 0, 0, seq % 60)).toISOString(),
  type: 'decision',
  tenant: TENANT,
  detail: { verdict: seq % 2 === 0 ? 'permit' : 'deny', n: seq },
  ...more,
});

describe('records in PostgreSQL', () => {
  it('are there whole, in one statement a batch, and can be queried', async () => {
    const rows = createPostgresRows({ url });
    expect(await rows.next('log')).toBe(0);
    const all = Array.from({ length: 500 }, (_, seq) => record(seq));
    await rows.add('log', 'node', all);
    expect(await rows.next('log')).toBe(500);
    expect(await rows.next('another')).toBe(0);
    const denied = await sql<{ count: string }>(
      `select count(*) from remit_records where agent = '${CALL.agent}' and detail->>'verdict' = 'deny'`,
    );
    expect(Number(denied[0]?.count)).toBe(250);
    const [first] = await sql<Record<string, unknown>>('select * from remit_records where position = 3');
    expect(first).toMatchObject({
      journal: 'log',
      node: 'node',
      time: new Date(Date.UTC(2026, 0, 1, 0, 0, 3)),
      type: 'decision',
      human: CALL.user,
      actors: CALL.actors,
      workload: CALL.workload,
      tool: CALL.tool,
      lease: null,
      detail: { verdict: 'deny', n: 3 },
    });
    await rows.close();
  });

  it('are not added twice, and not changed by who adds them again', async () => {
    const rows = createPostgresRows({ url });
    await rows.next('log');
    await rows.add('twice', 'node', [record(0), record(1)]);
    await rows.add('twice', 'node', [record(1, { agent: agentId('another') }), record(2)]);
    const found = await sql<{ agent: string }>("select agent from remit_records where journal = 'twice'");
    expect(found.map(({ agent }) => agent)).toEqual([CALL.agent, CALL.agent, CALL.agent]);
    await rows.close();
  });

  it('texts that PostgreSQL does not take hold nothing up', async () => {
    const rows = createPostgresRows({ url });
    await rows.next('log');
    const hostile = 'a\0b\ud800c\\u0000';
    await rows.add('hostile', 'node', [
      record(0, { task: taskId(hostile), detail: { [hostile]: [hostile, { deep: hostile }] }, user: hostile }),
      record(1),
    ]);
    const [row] = await sql<{ human: string; detail: object }>(
      "select * from remit_records where journal = 'hostile' order by position",
    );
    expect(row?.human).toBe('a\ufffdb\ufffdc\\u0000');
    expect(row?.detail).toEqual({
      'a\ufffdb\ufffdc\\u0000': ['a\ufffdb\ufffdc\\u0000', { deep: 'a\ufffdb\ufffdc\\u0000' }],
    });
    // A time that is none: of that record a row says so, and the others are as they are.
    await rows.add('odd', 'node', [record(0), record(1, { actors: 7 as never }), record(2)]);
    const found = await sql<{ detail: object; agent: string | null }>(
      "select * from remit_records where journal = 'odd' order by position",
    );
    expect(found.map(({ agent }) => agent)).toEqual([CALL.agent, null, CALL.agent]);
    expect(found[1]?.detail).toMatchObject({ notTaken: expect.stringMatching(/^22/) });
    await rows.close();
  });

  it('two gateways that make the table at once both have it', async () => {
    await sql('drop table if exists remit_records');
    const both = [createPostgresRows({ url }), createPostgresRows({ url })];
    expect(await Promise.all(both.map((rows) => rows.next('log')))).toEqual([0, 0]);
    await Promise.all(both.map((rows, index) => rows.add(`log ${index}`, 'node', [record(0)])));
    await Promise.all(both.map((rows) => rows.close()));
  });

  it('a server that is not there is a fault that names no password', async () => {
    const rows = createPostgresRows({ url: 'postgres://remit:very-secret@127.0.0.1:1/db', connectMs: 500 });
    const error = await rows.next('log').catch((fault: unknown) => fault);
    expect(error).toMatchObject({ code: 'ERR_ROWS', where: '127.0.0.1:1/db' });
    expect(JSON.stringify(error) + String(error)).not.toContain('very-secret');
    await rows.close();
    expect(() => createPostgresRows({ url: 'mysql://x' })).toThrow('is not a postgres:// URL');
  });
});
