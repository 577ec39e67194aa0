import { setTimeout as delay } from 'node:timers/promises';
import { Client } from 'pg';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { openPostgres } from '../../src/adapters/store/open-postgres.ts';
import { PACE_WINDOW_MS } from '../../src/domain/node.ts';
import { createSharedPace } from '../../src/nodes/shared-pace.ts';
import type { PaceRepository } from '../../src/seams/shared-store.ts';
import type { Store } from '../../src/seams/store.ts';
import { type EmbeddedPostgres, startPostgres } from '../support/embedded-postgres.ts';
import { ACME, RIVAL } from './samples.ts';

/** A pace that several gateways keep together, on a real PostgreSQL; each has its own connections. */
let server: EmbeddedPostgres;
let stores: Store[] = [];

beforeAll(async () => {
  server = await startPostgres({ fsync: false });
  const url = server.url('postgres');
  stores = [await openPostgres({ url }), await openPostgres({ url }), await openPostgres({ url })];
});
afterAll(async () => {
  await Promise.all(stores.map((store) => store.close()));
  await server.stop();
});

const paces = (index = 0): PaceRepository => stores[index]?.shared?.paces as PaceRepository;
const draw = { used: 0, keep: 0, want: 5, most: 12, holdMs: 1_000 };

async function ask<T>(text: string, values: readonly unknown[] = []): Promise<T[]> {
  const client = new Client({ connectionString: server.url('postgres') });
  await client.connect();
  try {
    return (await client.query(text, [...values])).rows as T[];
  } finally {
    await client.end();
  }
}

const rowsOf = (pace: string): Promise<{ holder: string; calls: string; left: string }[]> =>
  ask(
    `select holder, calls, counts_until - (extract(epoch from clock_timestamp()) * 1000)::bigint as left
      from pace_counts where pace = $1 order by holder`,
    [pace],
  );

it('I3 gives no more than the bound, whoever asks at the same time; what is held and what was made both count', async () => {
  const asked = await Promise.all(
    Array.from({ length: 9 }, (_, n) => paces(n % 3).draw(ACME, 'raced', { ...draw, holder: `h${n}` })),
  );
  expect(asked.map(({ more }) => more).sort((a, b) => a - b)).toEqual([0, 0, 0, 0, 0, 0, 2, 5, 5]);
  const [winner] = asked.flatMap(({ more }, n) => (more === 5 ? [`h${n}`] : []));
  // It has made three calls, and gives the other two back: they are anybody's.
  const told = await paces().draw(ACME, 'raced', { ...draw, holder: winner as string, used: 3, want: 0 });
  expect(told).toEqual({ more: 0, made: 3 });
  expect(await paces(1).draw(ACME, 'raced', { ...draw, holder: 'late' })).toEqual({ more: 2, made: 3 });
  expect(await paces(1).draw(RIVAL, 'raced', { ...draw, holder: 'late' }), 'I1').toEqual({ more: 5, made: 0 });
});

it('what is held counts a minute longer than it may be used, and what was made a minute', async () => {
  await paces().draw(ACME, 'timed', { ...draw, holder: 'one', holdMs: 20_000 });
  await paces().draw(ACME, 'timed', { ...draw, holder: 'two', used: 1 });
  const rows = await rowsOf('timed');
  expect(rows.map(({ holder, calls }) => [holder, Number(calls)])).toEqual([
    ['', 1],
    ['one', 5],
    ['two', 5],
  ]);
  const [made = 0, one = 0, two = 0] = rows.map(({ left }) => Number(left));
  expect(made).toBeGreaterThan(PACE_WINDOW_MS - 5_000);
  expect(made).toBeLessThanOrEqual(PACE_WINDOW_MS + 1_000);
  expect(one - two).toBeGreaterThan(17_000);
  expect(one - two).toBeLessThan(21_000);
  await paces().draw(ACME, 'timed', { ...draw, holder: 'one', keep: 2, want: 2 });
  expect((await rowsOf('timed')).find(({ holder }) => holder === 'one')?.calls).toBe('2');
});

it('I3 what is made of one pace counts for that one, whoever makes it, and adds up', async () => {
  for (const used of [2, 3]) {
    await paces().draw(ACME, 'first', { ...draw, holder: 'both', used, want: 4 });
    await paces(1).draw(ACME, 'second', { ...draw, holder: 'both', used: 1 });
  }
  expect(await paces().draw(ACME, 'first', { ...draw, holder: 'other', want: 12 })).toEqual({ more: 3, made: 5 });
  expect(await paces().draw(ACME, 'second', { ...draw, holder: 'other', want: 12 })).toEqual({ more: 5, made: 2 });
});

it('what was made, or could have been used last, a minute ago counts no more, and is let go of', async () => {
  await paces().draw(ACME, 'old', { ...draw, holder: 'gone', used: 4 });
  expect(await paces().draw(ACME, 'old', { ...draw, holder: 'late', want: 12 })).toEqual({ more: 3, made: 4 });
  await ask(`update pace_counts set counts_until = counts_until - 70_000 where pace = 'old'`);
  expect(await paces().draw(ACME, 'old', { ...draw, holder: 'later', want: 12 })).toEqual({ more: 12, made: 0 });
  expect((await rowsOf('old')).map(({ holder }) => holder)).toEqual(['later']);
});

it('three nodes that call as fast as they can make together what one may, and one alone makes all of it', async () => {
  const join = (name: string, index: number) =>
    createSharedPace({
      tenant: ACME,
      name,
      perMinute: 90,
      holder: `n${index}`,
      repository: paces(index),
      monotonic: () => performance.now(),
      schedule: (ms, task) => {
        const timer = setTimeout(task, ms);
        return () => clearTimeout(timer);
      },
      log: { debug() {}, info() {}, warn() {}, error() {} },
    });
  async function callUntilDenied(pace: ReturnType<typeof join>): Promise<number> {
    let made = 0;
    for (let denied = 0; denied < 20; ) {
      let more = pace.replenish();
      while (more !== undefined) {
        await more;
        more = pace.replenish();
      }
      if (pace.hasRoom()) {
        pace.take();
        made += 1;
      } else {
        denied += 1;
        await delay(50);
      }
    }
    return made;
  }
  const all = [0, 1, 2].map((index) => join('hammered', index));
  const made = await Promise.all(all.map(callUntilDenied));
  expect(made.reduce((sum, one) => sum + one, 0)).toBe(90);
  const alone = join('alone', 1);
  expect(await callUntilDenied(alone)).toBe(90);
  await Promise.all([...all, alone].map((pace) => pace.close()));
});
