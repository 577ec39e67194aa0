import { describe, expect, it } from 'vitest';
import { createOffHours } from '../../src/risk/hours.ts';
import { makePrincipal, makeTask, makeTool } from '../support/fake-gateway-parts.ts';
import { makeRisk } from './fake-risk.ts';

const task = makeTask('tsk_a');
const principal = makePrincipal(task);
const ORDERS = makeTool('orders');
const REFUNDS = makeTool('refunds');
const SCOPE = 'agent helper orders';
const use = (item = ORDERS, destinations: readonly string[] = [], of = task) => ({
  principal,
  task: of,
  item,
  span: 'a'.repeat(16),
  destinations,
});

describe('novelty', () => {
  const known = [{ scope: SCOPE, kind: 'tool', value: 'shop/orders', firstAt: 1_700_000_000_000 }] as const;

  it('what the agent has done at another node is new here no more, and is not kept once more', () => {
    const { calls, signals, kept, history } = makeRisk({ known });
    history.learn([{ scope: SCOPE, kind: 'tool', value: 'shop/refunds', firstAt: 1_700_000_000_001 }]);
    calls.attempt(use(REFUNDS));
    expect(signals()).toEqual([]);
    calls.attempt(use(makeTool('other')));
    expect(signals()).toEqual(['novel_tool']);
    history.learn([{ scope: SCOPE, kind: 'tool', value: 'shop/other', firstAt: 1_700_000_000_002 }]);
    calls.permitted(use(makeTool('other')));
    expect(calls.hasNew).toBe(false);
    expect(kept).toEqual([]);
  });

  it('a tool that the agent has not used under this template is a signal once a task, until a call of it is permitted', () => {
    const { calls, signals, kept } = makeRisk({ known });
    calls.attempt(use(ORDERS));
    expect(signals()).toEqual([]);
    calls.attempt(use(REFUNDS));
    calls.attempt(use(REFUNDS));
    expect(signals()).toEqual(['novel_tool']);
    // Denied, and tried again in the next task: as new as before.
    calls.forgetTask(task.id);
    expect(calls.hasNew).toBe(false);
    const next = makeTask('tsk_b');
    calls.attempt(use(REFUNDS, [], next));
    expect(signals()).toEqual(['novel_tool', 'novel_tool']);
    calls.permitted(use(REFUNDS, [], next));
    expect(kept).toMatchObject([{ scope: SCOPE, kind: 'tool', value: 'shop/refunds' }]);
    expect(calls.hasNew).toBe(false);
    calls.attempt(use(REFUNDS, [], makeTask('tsk_c')));
    expect(signals()).toHaveLength(2);
  });

  it('of a new history everything is noted, and nothing is a signal', () => {
    const { calls, signals, kept, time } = makeRisk();
    calls.attempt(use(ORDERS));
    calls.permitted(use(ORDERS));
    expect(signals()).toEqual([]);
    expect(kept).toHaveLength(1);
    time.now += 3_600_000;
    calls.attempt(use(REFUNDS));
    expect(signals()).toEqual(['novel_tool']);
  });

  it('a destination is kept as a digest, and no record names it', () => {
    const { calls, signals, kept, records } = makeRisk({ known });
    calls.attempt(use(ORDERS, ['eve@evil.example']));
    expect(signals()).toEqual(['novel_destination']);
    calls.permitted(use(ORDERS, ['eve@evil.example']));
    expect(kept.map(({ value }) => value)).toEqual(['digest of eve@evil.example']);
    expect(JSON.stringify(records)).not.toContain('eve@');
  });

  it('another agent, and the same under another template, has a history of its own', () => {
    const { calls, signals } = makeRisk({
      known: [...known, { scope: 'agent other orders', kind: 'tool', value: 'shop/refunds', firstAt: 1 }],
    });
    calls.attempt(use(REFUNDS));
    expect(signals()).toEqual(['novel_tool']);
  });

  it('a call like the one before is not looked at', () => {
    const { calls } = makeRisk({ known });
    expect(calls.isUsual(task, ORDERS)).toBe(false);
    calls.attempt(use(ORDERS));
    expect(calls.isUsual(task, ORDERS)).toBe(true);
    expect(calls.isUsual(task, REFUNDS)).toBe(false);
    expect(calls.isUsual(makeTask('tsk_b'), ORDERS)).toBe(false);
  });
});

describe('denials', () => {
  it('R74 a burst is a signal of the task and of its agent; as many over a long time are none', () => {
    const { calls, records, time } = makeRisk();
    for (let at = 0; at < 6; at += 1) {
      calls.denied(task, principal, 'remit:task-tool', ORDERS);
      time.now += 40_000;
    }
    expect(records).toEqual([]);
    for (let at = 0; at < 2; at += 1) calls.denied(task, principal, 'remit:task-tool', undefined);
    expect(records).toMatchObject([
      {
        agent: 'helper',
        task: 'tsk_a',
        detail: { scores: { 'task tsk_a': [60, time.now], 'agent helper': [60, time.now] } },
      },
    ]);
    // The next one begins anew.
    calls.denied(task, principal, 'remit:task-tool', ORDERS);
    expect(records).toHaveLength(1);
  });

  it('untrusted text is a signal once a task', () => {
    const { calls, signals } = makeRisk();
    calls.tainted(use());
    calls.tainted(use());
    expect(signals()).toEqual(['taint']);
  });
});

describe('hours', () => {
  const office = {
    days: ['mon', 'tue', 'wed', 'thu', 'fri'],
    from: '08:00',
    to: '18:00',
    timeZone: 'Europe/Berlin',
  } as const;
  const at = (text: string): number => Date.parse(text);

  it.each([
    ['2026-11-27T07:00:00Z', false],
    ['2026-11-27T06:59:00Z', true],
    ['2026-11-27T16:59:59Z', false],
    ['2026-11-27T17:00:00Z', true],
    ['2026-11-28T10:00:00Z', true],
    // Summer time.
    ['2026-07-01T06:00:00Z', false],
  ])('%s is outside: %s', (time, isOutside) => {
    expect(createOffHours(office)(at(time))).toBe(isOutside);
  });

  it('a night shift belongs to the day on which it begins; a time that is none is outside', () => {
    const night = createOffHours({ ...office, days: ['fri'], from: '22:00', to: '06:00', timeZone: 'UTC' });
    expect(night(at('2026-11-27T23:00:00Z'))).toBe(false);
    expect(night(at('2026-11-28T05:59:00Z'))).toBe(false);
    expect(night(at('2026-11-28T06:00:00Z'))).toBe(true);
    expect(night(at('2026-11-27T05:00:00Z'))).toBe(true);
    expect(night(Number.NaN)).toBe(true);
  });

  it('a call outside of them is a signal as they are left, whatever its task has done before', () => {
    const start = at('2026-11-27T16:58:00Z');
    const { calls, signals, time } = makeRisk({ start, offHoursOf: () => createOffHours(office) });
    calls.attempt(use());
    expect(calls.isUsual(task, ORDERS)).toBe(false);
    time.now += 180_000;
    for (let minute = 0; minute < 3; minute += 1) {
      calls.attempt(use());
      time.now += 60_000;
    }
    expect(signals()).toEqual(['off_hours']);
  });
});
