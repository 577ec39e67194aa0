import { describe, expect, it } from 'vitest';
import type { RiskLevel, RiskSubject } from '../../src/domain/risk.ts';
import { Scores } from '../../src/risk/scores.ts';
import { createSharedScores } from '../../src/risk/shared-scores.ts';
import type { RiskScoreRepository } from '../../src/seams/shared-store.ts';
import { useStoresOfOnePostgres } from '../support/stores-of-one-postgres.ts';
import { ACME, RIVAL } from './samples.ts';

/** Risk that several gateways know, on a real PostgreSQL; each has its own connections. */
const world = useStoresOfOnePostgres();
const { query } = world;

const risks = (index = 0): RiskScoreRepository => world.stores[index]?.shared?.risks as RiskScoreRepository;
const decay = { halfLifeMs: 3_600_000, most: 400 };
const SCRIBE: RiskSubject = { kind: 'agent', id: 'scribe' };
const KEY = 'agent scribe';

describe('scores in the store', () => {
  it('add up, whoever adds at the same time, and halve', async () => {
    const adding = Array.from({ length: 12 }, (_, n) => risks(n % 2).add(ACME, [{ subject: KEY, points: 10 }], decay));
    const after = (await Promise.all(adding)).map(([row]) => Math.round(row?.score ?? 0));
    expect(after.sort((a, b) => a - b)).toEqual(Array.from({ length: 12 }, (_, n) => 10 * (n + 1)));
    await query(`update risk_scores set at = at - ${decay.halfLifeMs}`);
    expect((await risks().add(ACME, [{ subject: KEY, points: 10 }], decay))[0]?.score).toBeCloseTo(70, 0);
    expect((await risks().add(ACME, [{ subject: KEY, points: 9_000 }], decay))[0]?.score).toBe(400);
    expect(await risks().read(RIVAL, 0), 'I1').toEqual({ head: 0, rows: [] });
    expect((await risks().add(RIVAL, [{ subject: KEY, points: 10 }], decay))[0]?.score, 'I1').toBe(10);
  });

  it('a cause counts once for each whom it is about, whichever node has seen it', async () => {
    const seen = { points: 25, cause: 'definition_changed crm/get sha256:1' };
    const both = await Promise.all(
      [0, 1].map((n) => risks(n).add(ACME, [{ subject: 'connector crm', ...seen }], decay)),
    );
    expect(both.map(([row]) => Math.round(row?.score ?? 0))).toEqual([25, 25]);
    const [, agent] = await risks().add(
      ACME,
      [
        { subject: 'connector crm', ...seen },
        { subject: KEY, ...seen },
      ],
      decay,
    );
    expect(agent?.score).toBe(25);
    const twice = { subject: 'agent other', ...seen };
    expect((await risks().add(ACME, [twice, twice], decay))[0]?.score, 'told twice at once').toBe(25);
  });

  it('what is read goes on from a position, and nothing of it is missed', async () => {
    await risks().add(ACME, [{ subject: KEY, points: 10 }], decay);
    const first = await risks(1).read(ACME, 0);
    expect(first.rows).toMatchObject([{ subject: KEY, score: 10 }]);
    await Promise.all(
      Array.from({ length: 20 }, (_, n) => risks(n % 2).add(ACME, [{ subject: `agent a${n}`, points: 1 }], decay)),
    );
    const then = await risks(1).read(ACME, first.head);
    expect(then.rows).toHaveLength(20);
    expect((await risks(1).read(ACME, then.head)).rows).toEqual([]);
  });

  it('what a trail knows is added where the store has less of it, and not what was cleared since', async () => {
    const at = Date.now();
    await risks().add(ACME, [{ subject: KEY, atLeast: { score: 40, at } }], decay);
    const [same] = await risks().add(ACME, [{ subject: KEY, atLeast: { score: 30, at } }], decay);
    expect(same?.score).toBeCloseTo(40, 0);
    await risks().clear(ACME, KEY);
    expect((await risks().read(ACME, 0)).rows).toMatchObject([{ subject: KEY, score: 0 }]);
    const [cleared] = await risks().add(ACME, [{ subject: KEY, atLeast: { score: 40, at: at - 1 } }], decay);
    expect(cleared?.score).toBe(0);
    const [later] = await risks().add(ACME, [{ subject: KEY, atLeast: { score: 30, at: Date.now() + 5_000 } }], decay);
    expect(later?.score).toBe(30);
  });
});

/** A node's risk over its own store. */
function join(index: number, own: Partial<RiskScoreRepository> = {}) {
  const scores = new Scores({ halfLifeMs: decay.halfLifeMs, bounds: { elevated: 20, high: 50, critical: 100 } });
  const state = { followed: [] as string[], cleared: [] as string[], monotonic: 0 };
  const level = (subject = SCRIBE): RiskLevel => scores.level(subject, Date.now());
  const shared = createSharedScores({
    tenant: ACME,
    repository: { ...risks(index), ...own },
    scores,
    halfLifeMs: decay.halfLifeMs,
    clock: Date.now,
    monotonic: () => state.monotonic,
    log: { debug() {}, info() {}, warn() {}, error() {} },
    follow: (subject) => void state.followed.push(`${subject.id} ${level(subject)}`),
    onCleared(subject) {
      state.cleared.push(subject.id);
      scores.forget(subject);
    },
  });
  /** As `createRisk` does. */
  function signal(points: number, subject = SCRIBE): void {
    scores.add(subject, points, Date.now());
    shared.tell(subject, points);
  }
  return { ...shared, scores, state, level, signal, value: () => Math.round(scores.value(SCRIBE, Date.now())) };
}

describe('nodes that know each other’s scores', () => {
  it('count what each has seen together, and whose signal reaches a level lets its consequence follow', async () => {
    const [a, b] = [join(0), join(1)];
    await Promise.all([a.exchange(), b.exchange()]);
    a.signal(30);
    b.signal(30);
    expect([a.value(), b.value()], 'its own counts at once').toEqual([30, 30]);
    await Promise.all([a.exchange(), b.exchange()]);
    await Promise.all([a.exchange(), b.exchange()]);
    expect([a.value(), b.value()]).toEqual([60, 60]);
    expect([a.state.followed, b.state.followed].flat()).toEqual(['scribe high']);
  });

  it('F8 what a level calls for follows at another node, where the one whose signal it was is gone', async () => {
    const [gone, other] = [join(0), join(1)];
    await other.exchange();
    gone.signal(60);
    await gone.exchange();
    await other.exchange();
    expect(other.level()).toBe('high');
    expect(other.state.followed, 'it is not the first to').toEqual([]);
    other.state.monotonic += 1_000;
    await other.exchange();
    expect(other.state.followed).toEqual(['scribe high']);
    const started = join(0);
    await started.exchange();
    expect(started.value(), 'who starts later knows it too').toBe(60);
    const restarted = join(0);
    restarted.restore(SCRIBE, { score: 10, at: Date.now() });
    await restarted.exchange();
    expect(restarted.value(), 'and who has known less').toBe(60);
    started.state.monotonic += 5_000;
    await started.exchange();
    expect(
      [...started.state.followed, ...restarted.state.followed],
      'and orders nothing anew that a person may have taken back',
    ).toEqual([]);
  });

  it('D1 a signal counts here while the store is gone, and on the others when it is back', async () => {
    const state = { isGone: true };
    const a = join(0, {
      add: (...given) => (state.isGone ? Promise.reject(new Error('gone')) : risks().add(...given)),
    });
    for (let n = 0; n < 10; n += 1) a.signal(6);
    await expect(a.exchange()).rejects.toThrow('gone');
    expect(a.level()).toBe('high');
    state.isGone = false;
    await a.exchange();
    const b = join(1);
    await b.exchange();
    expect([a.value(), b.value()]).toEqual([60, 60]);
  });

  it('F8 whoever is answered when a signal was told finds it at every node; nothing is waited for otherwise', async () => {
    const state = { isGone: true };
    const a = join(0, {
      add: (...given) => (state.isGone ? Promise.reject(new Error('gone')) : risks().add(...given)),
    });
    expect(a.told()).toBeUndefined();
    a.signal(30);
    await expect(a.told(), 'a store that is gone is not waited for for ever').resolves.toBeUndefined();
    expect((await risks(1).read(ACME, 0)).rows).toEqual([]);
    state.isGone = false;
    await a.told();
    expect((await risks(1).read(ACME, 0)).rows).toMatchObject([{ subject: KEY }]);
    expect(a.told()).toBeUndefined();
    a.signal(5, { kind: 'task', id: 'tsk_1' });
    expect(a.told()).toBeUndefined();
  });

  it('what one clears is cleared for all, and what comes after counts', async () => {
    const [a, b] = [join(0), join(1)];
    a.signal(60);
    await a.exchange();
    await b.exchange();
    await b.clear(SCRIBE);
    await a.exchange();
    await b.exchange();
    expect([a.value(), b.value()]).toEqual([0, 0]);
    expect([a.state.cleared, b.state.cleared]).toEqual([['scribe'], ['scribe']]);
    b.signal(20);
    await b.exchange();
    await a.exchange();
    expect([a.value(), b.value()]).toEqual([20, 20]);
  });

  it('F8 what is on a trail and was told to nobody counts when its node is back; a task’s risk is its node’s', async () => {
    const a = join(0);
    a.restore(SCRIBE, { score: 40, at: Date.now() });
    a.restore({ kind: 'task', id: 'tsk_1' }, { score: 90, at: Date.now() });
    a.signal(30, { kind: 'task', id: 'tsk_2' });
    await a.exchange();
    const { rows } = await risks(1).read(ACME, 0);
    expect(rows.map(({ subject, score }) => [subject, Math.round(score)])).toEqual([[KEY, 40]]);
  });

  it('a store that was put back is told what is known', async () => {
    const a = join(0);
    a.signal(60);
    await a.exchange();
    await query('delete from risk_scores; update risk_heads set position = 0');
    await a.exchange();
    expect(a.value()).toBe(60);
    const b = join(1);
    await b.exchange();
    expect(b.value()).toBe(60);
  });
});

it('what an agent did first somewhere is in its history everywhere', async () => {
  const use = { tenant: ACME, scope: 'agent scribe reports', kind: 'tool', value: 'crm/read', firstAt: 1_000_000 };
  await world.stores[0]?.riskHistory.add(use);
  await world.stores[0]?.riskHistory.add({ ...use, value: 'crm/old', firstAt: 900_000 });
  expect(await world.stores[1]?.riskHistory.list(ACME, 1_000_000)).toEqual([use]);
});
