import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { Client } from 'pg';
import { describe, expect, it } from 'vitest';
import { openSqlite } from '../../src/adapters/store/open-sqlite.ts';
import { taskId } from '../../src/domain/ids.ts';
import type { Notice, SharedStore } from '../../src/seams/shared-store.ts';
import type { Store } from '../../src/seams/store.ts';
import { eventually } from '../support/governed-shop.ts';
import { useStoresOfOnePostgres } from '../support/stores-of-one-postgres.ts';
import { ACME, RIVAL, sampleLease, sampleTask } from './samples.ts';

/** What several gateways share, on a real PostgreSQL; each has its own connections. */
const world = useStoresOfOnePostgres();
const { query } = world;

const shared = (index = 0): SharedStore => world.stores[index]?.shared as SharedStore;
const self = (name: string, tenant = ACME) => ({
  tenant,
  name,
  address: `http://127.0.0.1/${name}`,
  version: '1',
  policyVersion: 'p1',
  connections: 11,
});
const HOUR = 3_600_000;
const [ONE, TWO, CHILD] = [taskId('tsk_one'), taskId('tsk_two'), taskId('tsk_child')];

async function startTask(id: typeof ONE, owner: string, family = id, tenant = ACME): Promise<void> {
  await shared().places.own(tenant, owner, id, family);
  await world.stores[0]?.tasks.insert(sampleTask({ id, tenant }));
}

it('a store in one file is one gateway’s alone', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'remit-shared-'));
  const store = await openSqlite({ path: join(folder, 'remit.db') });
  expect(store.shared).toBeUndefined();
  await store.close();
  await rm(folder, { recursive: true });
});

describe('nodes', () => {
  it('each start is a life of its own, and an earlier one is told that it was replaced', async () => {
    const { nodes } = shared();
    expect(await nodes.join(self('a'), HOUR)).toBe(1);
    expect(await nodes.join(self('a'), HOUR)).toBe(2);
    expect(await nodes.renew({ ...self('a'), life: 1 }, HOUR)).toBe('replaced');
    expect(await nodes.renew({ ...self('a'), life: 2, policyVersion: 'p2' }, HOUR)).toBeTypeOf('number');
    expect(await nodes.list(ACME)).toMatchObject([{ name: 'a', life: 2, policyVersion: 'p2', version: '1' }]);
    expect(await nodes.list(RIVAL)).toEqual([]);
  });

  it('one whose time is over is buried once, by one, and must join anew', async () => {
    const { nodes } = shared();
    const life = await nodes.join(self('a'), 0);
    await nodes.join(self('b'), HOUR);
    await nodes.join(self('c', RIVAL), 0);
    const buried = await Promise.all([nodes.bury(ACME), shared(1).nodes.bury(ACME)]);
    expect(buried.flat()).toEqual(['a']);
    expect(await nodes.renew({ ...self('a'), life }, HOUR)).toBe('buried');
    expect((await nodes.list(ACME)).map(({ name }) => name)).toEqual(['b']);
    expect(await nodes.join(self('a'), HOUR)).toBe(2);
    expect(await nodes.renew({ ...self('a'), life: 2 }, HOUR)).toBeTypeOf('number');
  });

  it('one that was buried a while ago begins its next life, not the first again: its earlier process is told that it was replaced', async () => {
    const { nodes } = shared();
    await nodes.join(self('a'), 0);
    for (let looks = 0; looks < 3; looks += 1) await nodes.bury(ACME);
    expect(await nodes.join(self('a'), HOUR)).toBe(2);
    expect(await nodes.bury(ACME), 'its time is a new one').toEqual([]);
    expect(await nodes.renew({ ...self('a'), life: 1 }, HOUR)).toBe('replaced');
  });

  it('to renew late is in time, as long as nobody has buried it', async () => {
    const { nodes } = shared();
    const life = await nodes.join(self('a'), 0);
    const before = Date.now();
    const there = await nodes.renew({ ...self('a'), life }, HOUR);
    // By the database's clock, which is this host's here.
    expect(there).toBeGreaterThanOrEqual(before - 1);
    expect(there).toBeLessThanOrEqual(Date.now() + 1);
    expect(await nodes.bury(ACME)).toEqual([]);
  });

  it('of those that come at once so many are admitted as fit, whosever tenant they are of', async () => {
    const admit = (others: readonly { readonly connections: number }[]): void => {
      if (others.reduce((sum, { connections }) => sum + connections, 11) > 25) throw new Error('too many');
    };
    const names = ['a', 'b', 'c', 'd', 'e', 'f'];
    const lock = new Client({ connectionString: world.url });
    await lock.connect();
    // Rows can be read, and none is written until all have come.
    await lock.query('begin');
    await lock.query('lock table nodes in share mode');
    const joining = Promise.allSettled(
      names.map((name, index) => shared(index % 2).nodes.join(self(name, index < 3 ? ACME : RIVAL), HOUR, admit)),
    );
    await eventually(
      'all have come',
      () => query("select 1 from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'"),
      (rows) => rows.length === names.length,
    );
    await lock.end();
    const joined = await joining;
    expect(joined.filter(({ status }) => status === 'fulfilled')).toHaveLength(2);
    const { nodes } = shared();
    const there = await nodes.everywhere();
    expect(there.map(({ connections }) => connections)).toEqual([11, 11]);
    expect((await nodes.list(ACME)).length + (await nodes.list(RIVAL)).length, 'of the rest nothing is left').toBe(2);
    const [{ name, tenant }] = there as [(typeof there)[number]];
    const again = await nodes.join(self(name, tenant), HOUR, admit);
    expect(again, 'one that starts again is not counted beside itself').toBe(2);
    await nodes.join(self('g', tenant), 0);
    expect(await nodes.everywhere(), 'nor is one that is lost').toHaveLength(2);
  });

  it('one that leaves is nobody that has to be waited for', async () => {
    const { nodes } = shared();
    const life = await nodes.join(self('a'), HOUR);
    await nodes.leave({ ...self('a'), life: life + 1 });
    expect(await nodes.list(ACME)).toHaveLength(1);
    await nodes.leave({ ...self('a'), life });
    expect(await nodes.list(ACME)).toEqual([]);
  });
});

describe('the server', () => {
  it('says what time it is', async () => {
    const before = Date.now();
    const now = await shared().server.now();
    expect(now).toBeGreaterThanOrEqual(before - 1);
    expect(now).toBeLessThanOrEqual(Date.now() + 1);
  });

  it('says how many connections there are, and how long nodes have been what they are', async () => {
    const { nodes, server: limits } = shared();
    const plain = await limits.connectionLimits();
    expect(plain).toMatchObject({ most: 100, reserved: 3, ofRole: undefined });
    await query(`alter database ${new URL(world.url).pathname.slice(1)} connection limit 40`);
    await query('alter role postgres connection limit 50');
    expect(await limits.connectionLimits()).toEqual({ ...plain, ofRole: 40 });
    await query('alter role postgres connection limit -1');
    const life = await nodes.join(self('a'), HOUR);
    const [joined] = await nodes.list(ACME);
    expect(joined).toMatchObject({ connections: 11 });
    expect(joined?.policyMs).toBe(joined?.joinedMs);
    expect(joined?.leftMs).toBeGreaterThan(HOUR - 60_000);
    await query('update nodes set joined_at = joined_at - 5000, policy_since = policy_since - 5000');
    await nodes.renew({ ...self('a'), life }, HOUR);
    expect((await nodes.list(ACME))[0]?.policyMs).toBeGreaterThanOrEqual(5_000);
    await nodes.renew({ ...self('a'), life, policyVersion: 'p2' }, HOUR);
    const [changed] = await nodes.list(ACME);
    expect(changed?.policyMs).toBeLessThan(5_000);
    expect(changed?.joinedMs).toBeGreaterThanOrEqual(5_000);
  });
});

describe('places of tasks', () => {
  it('say who owns a task and where that is; nothing of one that has ended', async () => {
    const { nodes, places } = shared();
    await nodes.join(self('a'), HOUR);
    await startTask(ONE, 'a');
    expect(await places.find(ACME, ONE)).toEqual({ family: ONE, owner: 'a', address: 'http://127.0.0.1/a' });
    expect(await places.find(RIVAL, ONE)).toBeUndefined();
    expect(await places.find(ACME, TWO)).toBeUndefined();
    await world.stores[0]?.tasks.end(ACME, ONE, 'completed', 1);
    expect(await places.find(ACME, ONE)).toBeUndefined();
  });

  it('a family of a lost node is one other node’s, whole, and of two that claim it one gets it', async () => {
    const { nodes, places } = shared();
    await nodes.join(self('a'), 0);
    await Promise.all([nodes.join(self('b'), HOUR), nodes.join(self('c'), HOUR)]);
    await startTask(ONE, 'a');
    await startTask(CHILD, 'a', ONE);
    expect(await places.claim(ACME, 'b', { family: ONE }), 'while its owner is not buried').toEqual([]);
    await nodes.bury(ACME);
    const claims = await Promise.all([
      places.claim(ACME, 'b', { family: ONE }),
      shared(1).places.claim(ACME, 'c', { orphans: 10 }),
    ]);
    const [won, lost] = claims[0].length > 0 ? claims : [claims[1], claims[0]];
    expect(won.map(({ task, fence }) => [task, fence]).sort()).toEqual([
      [CHILD, 2],
      [ONE, 2],
    ]);
    expect(lost).toEqual([]);
  });

  it('what calls leave behind is kept under the owner’s fence alone', async () => {
    const { nodes, places } = shared();
    const life = await nodes.join(self('a'), HOUR);
    await nodes.join(self('b'), HOUR);
    await startTask(ONE, 'a');
    await startTask(TWO, 'a');
    const flow = { labels: { trust: 'untrusted', dataClasses: ['personal'], zones: ['z'] }, outward: 2 } as const;
    const memory = { calls: 7, prompt: 'sha256:1', flow, risk: { score: 3, at: 5 } };
    const rows = [ONE, TWO].map((task) => ({ task, fence: 1, memory }));
    expect(await places.keep(ACME, 'a', rows)).toEqual(new Set([ONE, TWO]));
    expect(await places.keep(ACME, 'b', rows), 'another node').toEqual(new Set());
    expect(await places.keep(RIVAL, 'a', rows), 'another tenant').toEqual(new Set());
    await nodes.leave({ ...self('a'), life });
    const claimed = await places.claim(ACME, 'b', { family: ONE });
    expect(claimed).toEqual([{ task: ONE, fence: 2, memory, from: 'a' }]);
    expect(await places.claim(ACME, 'b', { mine: ONE }), 'its own already: as it is').toEqual([
      { task: ONE, fence: 2, memory },
    ]);
    expect(await places.claim(ACME, 'a', { mine: ONE }), 'another’s').toEqual([]);
    expect(await places.keep(ACME, 'a', rows), 'the one that was not taken over').toEqual(new Set([TWO]));
    expect(await places.keep(ACME, 'b', [{ task: ONE, fence: 1, memory }]), 'an older fence').toEqual(new Set());
  });

  it('a lost node is nowhere: who asks for its task is told whose it was, and takes it', async () => {
    const { nodes, places } = shared();
    await nodes.join(self('a'), 0);
    await startTask(ONE, 'a');
    await nodes.bury(ACME);
    expect(await places.find(ACME, ONE)).toEqual({ family: ONE, owner: 'a', address: undefined });
  });

  it('of what lost nodes left so many families are taken at a time, and another tenant’s do not stand in their way', async () => {
    const { nodes, places } = shared();
    await nodes.join(self('b'), HOUR);
    for (const theirs of ['a', 'b', 'c', 'd'].map((name) => taskId(`tsk_${name}`)))
      await startTask(theirs, 'gone', theirs, RIVAL);
    for (const task of [ONE, TWO, CHILD]) await startTask(task, 'gone');
    expect(await places.claim(ACME, 'b', { orphans: 2 })).toHaveLength(2);
    expect(await places.claim(ACME, 'b', { orphans: 2 })).toHaveLength(1);
  });

  it('I1 each tenant has its own, whatever the names are', async () => {
    const { nodes, places } = shared();
    const lives = await Promise.all([ACME, RIVAL].map((tenant) => nodes.join(self('a', tenant), HOUR)));
    expect(lives).toEqual([1, 1]);
    for (const tenant of [ACME, RIVAL]) await startTask(ONE, 'a', ONE, tenant);
    await nodes.renew({ ...self('a'), life: 1, policyVersion: 'p2' }, HOUR);
    expect((await nodes.list(RIVAL)).map(({ policyVersion }) => policyVersion)).toEqual(['p1']);
    await places.keep(ACME, 'a', [{ task: ONE, fence: 1, memory: { calls: 7 } }]);
    await nodes.leave({ ...self('a', RIVAL), life: 1 });
    expect(await places.claim(ACME, 'b', { family: ONE }), 'its owner is there').toEqual([]);
    expect(await places.claim(ACME, 'b', { orphans: 10 })).toEqual([]);
    const theirs = [{ task: ONE, fence: 2, memory: { calls: 0 }, from: 'a' }];
    expect(await places.claim(RIVAL, 'b', { orphans: 10 })).toEqual(theirs);
    expect(await places.claim(ACME, 'a', 'earlier')).toEqual([{ task: ONE, fence: 2, memory: { calls: 7 } }]);
    await nodes.join(self('b', RIVAL), HOUR);
    await places.forget(ACME, [ONE]);
    expect(await places.find(RIVAL, ONE)).toMatchObject({ owner: 'b' });
    expect(await places.claim(RIVAL, 'b', { mine: ONE })).toMatchObject([{ fence: 2 }]);
  });

  it('a node that starts again has its own under a new fence, and forgets those that have ended', async () => {
    const { nodes, places } = shared();
    await nodes.join(self('a'), HOUR);
    await startTask(ONE, 'a');
    await startTask(TWO, 'a');
    await world.stores[0]?.tasks.end(ACME, TWO, 'completed', 1);
    expect((await places.claim(ACME, 'a', 'earlier')).map(({ task }) => task)).toEqual([ONE]);
    expect(await query('select task, fence from task_places')).toEqual([{ task: ONE, fence: '2' }]);
    await places.forget(ACME, [ONE]);
    expect(await query('select task from task_places')).toEqual([]);
  });
});

describe('claims of leases among several nodes', () => {
  it('L5 a start ends the claims of its own earlier life, and nobody else’s', async () => {
    const store = world.stores[0] as Store;
    const claimed = [
      ['lse_own', 'gateway na 1'],
      ['lse_now', 'gateway na 2'],
      ['lse_other', 'gateway nb 1'],
      ['lse_reaper', 'reaper 1'],
    ] as const;
    for (const [id, claimedBy] of claimed) {
      await store.leases.insert(sampleLease({ id: id as never, claimedBy, claimedUntil: 9_000 }));
    }
    expect(await store.leaseClaims.releaseOthers(ACME, 'gateway na 2', 100, 'gateway_restarted', 'na')).toBe(1);
    const due = await store.leaseClaims.claimDue(ACME, {
      by: 'gateway na 2',
      at: 100,
      until: 200,
      downstream: sampleLease().downstream,
      limit: 10,
    });
    expect(due.map(({ id }) => id)).toEqual(['lse_own']);
  });
});

/** Of each it is told when one may have been missed. */
const KINDS = 5;

describe('notices', () => {
  it('reach every node that listens to the tenant, after what they are about is in the store', async () => {
    const heard: Notice[] = [];
    const elsewhere: Notice[] = [];
    const ears = [
      shared(1).notices.listen(ACME, (notice) => heard.push(notice)),
      shared(1).notices.listen(RIVAL, (notice) => elsewhere.push(notice)),
    ];
    await eventually(
      'both listen',
      () => Promise.resolve([heard.length, elsewhere.length]),
      (counts) => counts.every((count) => count === KINDS),
    );
    await world.stores[0]?.revocations.append({
      tenant: ACME,
      at: 1,
      by: 'dana',
      reason: 'test',
      action: 'suspend',
      subject: { kind: 'all', id: '' },
    });
    await eventually(
      'it is heard',
      () => Promise.resolve(heard.slice(KINDS)),
      (news) => news.includes('revocation'),
    );
    await delay(50);
    expect(elsewhere).toHaveLength(KINDS);
    await Promise.all(ears.map((ear) => ear.stop()));
  });

  it('a connection that breaks is made again, and everything may have been missed', async () => {
    const heard: Notice[] = [];
    const ear = shared(1).notices.listen(ACME, (notice) => heard.push(notice));
    const has = (count: number) =>
      eventually(
        'told of what may have been missed',
        () => Promise.resolve(heard.length),
        (length) => length >= count,
      );
    await has(KINDS);
    await query(`select pg_terminate_backend(pid) from pg_stat_activity where application_name = 'remit notices'`);
    await has(2 * KINDS);
    await ear.stop();
    shared(0).notices.send(ACME, 'mark');
    await delay(50);
    expect(heard).toHaveLength(2 * KINDS);
  });
});
