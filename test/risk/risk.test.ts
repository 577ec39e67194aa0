import { describe, expect, it } from 'vitest';
import { NO_RISK } from '../../src/domain/risk.ts';
import { CONNECTOR, makePrincipal, makeTask } from '../support/fake-gateway-parts.ts';
import { makeRisk, settled } from './fake-risk.ts';

const task = makeTask('tsk_a');
const call = { principal: makePrincipal(task), task, connector: CONNECTOR };
const ofTask = { kind: 'task', id: task.id } as const;
const signal = { kind: 'denials', what: 'three denials', subjects: [ofTask] } as const;
const SUSPEND = { task: { holdReads: false, hold: 'elevated', suspend: 'high', revoke: 'critical' } } as const;

describe('risk', () => {
  it('nothing has happened: the very same levels, without a look at the clock', () => {
    const { levels, time } = makeRisk();
    Object.defineProperty(time, 'now', {
      get() {
        throw new Error('the clock was read');
      },
    });
    expect(levels.levelsOf(call)).toBe(NO_RISK);
    expect(levels.isQuiet).toBe(true);
  });

  it('a signal counts at once, and its record says the score that it leads to', () => {
    const { levels, records, time } = makeRisk();
    levels.signal(signal);
    expect(levels.levelsOf(call)).toEqual({ task: 'high', connector: 'low', agent: 'low', user: 'low' });
    expect(records).toEqual([
      {
        type: 'signal',
        detail: {
          signal: 'denials',
          what: 'three denials',
          points: 60,
          scores: { 'task tsk_a': [60, time.now] },
          levels: { 'task tsk_a': 'high' },
        },
      },
    ]);
    time.now += 600_000;
    expect(levels.levelsOf(call)).toBe(NO_RISK);
  });

  it('among several nodes each signal is told, once for a cause that others see too, and one that must last waits for it', async () => {
    const told: unknown[] = [];
    const state = { exchange: async (): Promise<void> => {} };
    const shared = {
      tell: (...given: unknown[]) => void told.push(given),
      told: () => undefined,
      exchange: () => state.exchange(),
    };
    const agent = { kind: 'agent', id: 'scribe' } as const;
    const { levels, ordered } = makeRisk({ rules: { agent: { holdReads: false, suspend: 'high' } }, shared });
    levels.signal({ ...signal, subjects: [ofTask, agent], points: 10 });
    await levels.signalDurably({ ...signal, subjects: [agent], points: 15, cause: 'event 1' });
    expect(told).toEqual([
      [ofTask, 10, undefined],
      [agent, 10, undefined],
      [agent, 15, 'event 1'],
    ]);
    state.exchange = () => Promise.reject(new Error('gone'));
    await expect(levels.signalDurably({ ...signal, subjects: [agent], points: 1 })).rejects.toThrow('gone');
    levels.follow(agent);
    await settled();
    expect(ordered).toEqual([]);
    // What others have seen of it has come.
    levels.restore(agent, { score: 60, at: 1_800_000_000_000 });
    levels.follow(agent);
    expect(levels.judge(call, levels.levelsOf(call), true), 'another agent').toBeUndefined();
    await settled();
    expect(ordered).toEqual(['suspend agent scribe']);
  });

  it('V2 until the revocation log has what a level calls for, its calls are denied', async () => {
    let durable = (): void => {};
    const recorded = new Promise<void>((resolve) => {
      durable = resolve;
    });
    const { levels, ordered } = makeRisk({ rules: SUSPEND, record: () => recorded });
    levels.signal(signal);
    await settled();
    // Nothing is ordered that is not on the trail.
    expect(ordered).toEqual([]);
    expect(levels.judge(call, levels.levelsOf(call), true)).toEqual({ action: 'deny', by: ofTask, level: 'high' });
    durable();
    await settled();
    expect(ordered).toEqual(['suspend task tsk_a']);
    // From here on the revocation log denies; somebody who resumes it without clearing is asked about its calls.
    expect(levels.judge(call, levels.levelsOf(call), false)).toMatchObject({ action: 'hold' });
    expect(levels.judge(call, levels.levelsOf(call), true)).toBeUndefined();
  });

  it('D1 an order that fails denies, and is tried again with the next call', async () => {
    let isBroken = true;
    const order = async (): Promise<void> => {
      if (isBroken) throw new Error('the store is away');
    };
    const { levels, ordered, faults, time } = makeRisk({ rules: SUSPEND, order });
    levels.signal(signal);
    await settled();
    expect(faults).toHaveLength(1);
    // However long it takes, and whatever is left of the score by then.
    time.now += 3_600_000;
    expect(levels.levelsOf(call)).toBe(NO_RISK);
    expect(levels.judge(call, NO_RISK, true)).toMatchObject({ action: 'deny' });
    await settled();
    expect(faults).toHaveLength(2);
    isBroken = false;
    expect(levels.judge(call, NO_RISK, true)).toMatchObject({ action: 'deny' });
    await settled();
    expect(ordered).toEqual(['suspend task tsk_a']);
    expect(levels.judge(call, NO_RISK, true)).toBeUndefined();
  });

  it('A1 a signal that cannot be put on the trail denies, and what it calls for is ordered all the same', async () => {
    const { levels, ordered } = makeRisk({
      rules: SUSPEND,
      record: () => Promise.reject(new Error('the disk is full')),
    });
    levels.signal(signal);
    await settled();
    expect(ordered).toEqual([]);
    expect(levels.judge(call, NO_RISK, true)).toMatchObject({ action: 'deny' });
    await settled();
    expect(ordered).toEqual(['suspend task tsk_a']);
  });

  it('what is suspended already is not suspended twice, and can still be revoked', async () => {
    const { levels, ordered } = makeRisk({ rules: SUSPEND, heldBy: () => 'suspend' });
    levels.signal(signal);
    await settled();
    expect(ordered).toEqual([]);
    levels.signal(signal);
    await settled();
    expect(ordered).toEqual(['revoke task tsk_a']);
  });

  it('a user, of whom the revocation log knows nothing, is denied for as long as the level lasts', async () => {
    const user = { issuer: 'https://idp.example', subject: 'ann', groups: [] };
    const principal = { ...call.principal, user };
    const rules = { user: { holdReads: false, suspend: 'high' } } as const;
    const { levels, ordered, time } = makeRisk({ rules });
    levels.signal({
      kind: 'external',
      what: 'session revoked',
      subjects: [{ kind: 'user', id: 'https://idp.example#ann' }],
      points: 60,
    });
    await settled();
    expect(ordered).toEqual(['suspend user https://idp.example#ann']);
    const theirs = { ...call, principal };
    expect(levels.judge(theirs, levels.levelsOf(theirs), true)).toMatchObject({ action: 'deny', by: { kind: 'user' } });
    expect(levels.judge(call, levels.levelsOf(call), true)).toBeUndefined();
    time.now += 60_000;
    expect(levels.judge(theirs, levels.levelsOf(theirs), true)).toBeUndefined();
  });

  it('a weight of nothing is no signal, and clearing forgets', async () => {
    const { levels, records } = makeRisk({ rules: SUSPEND, order: () => Promise.reject(new Error('no')) });
    levels.signal({ ...signal, points: 0 });
    expect(records).toEqual([]);
    levels.signal(signal);
    await settled();
    expect(levels.isQuiet).toBe(false);
    expect(levels.show(ofTask)).toEqual({ score: 60, level: 'high' });
    expect(levels.clear(ofTask)).toBe(true);
    expect(levels.clear(ofTask)).toBe(false);
    expect(levels.isQuiet).toBe(true);
    expect(levels.judge(call, levels.levelsOf(call), false)).toBeUndefined();
  });
});
