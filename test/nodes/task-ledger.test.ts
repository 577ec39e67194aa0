import { describe, expect, it } from 'vitest';
import { type TaskId, taskId, tenantId } from '../../src/domain/ids.ts';
import type { OwnedTask, TaskMemory, TaskUsage } from '../../src/domain/node.ts';
import { callsAhead } from '../../src/nodes/calls-ahead.ts';
import { createTaskLedger } from '../../src/nodes/task-ledger.ts';

const [TOP, CHILD, OTHER] = [taskId('tsk_top'), taskId('tsk_child'), taskId('tsk_other')];

const chainOf = (task: TaskId): TaskId[] => (task === CHILD ? [CHILD, TOP] : [task]);

/** @param usage with anything in it nothing is counted ahead: each call waits */
function world(usage?: TaskUsage) {
  const calls = new Map<TaskId, number>();
  const written: (readonly OwnedTask[])[] = [];
  const state = { lost: new Set<TaskId>(), fault: undefined as Error | undefined, now: 0, left: 1_000_000 };
  const memories = new Map<TaskId, Partial<TaskMemory>>();
  let timers: (() => void)[] = [];
  let release: (() => void)[] = [];
  let turns: (() => void)[] = [];
  const ledger = createTaskLedger({
    tenant: tenantId('acme'),
    owner: 'na',
    repository: {
      async keep(_tenant, _owner, rows) {
        written.push(rows);
        await new Promise<void>((resolve) => {
          release.push(resolve);
        });
        if (state.fault !== undefined) throw state.fault;
        return new Set(rows.map(({ task }) => task).filter((task) => !state.lost.has(task)));
      },
    },
    memoryOf: (task) => ({ calls: calls.get(task) ?? 0, ...(usage && { usage }), ...memories.get(task) }),
    chainOf,
    callsLeft: () => state.left,
    nextTurn: (resume) => void turns.push(resume),
    monotonic: () => state.now,
    schedule(_ms, task) {
      timers.push(task);
      return () => {
        timers = timers.filter((one) => one !== task);
      };
    },
  });
  const settle = () => new Promise<void>((resolve) => setImmediate(resolve));
  const turn = async (): Promise<void> => {
    await settle();
    const all = turns;
    turns = [];
    for (const one of all) one();
    await settle();
  };
  const commit = async (): Promise<void> => {
    await settle();
    const all = release;
    release = [];
    for (const one of all) one();
    await settle();
  };
  const look = (): void => {
    const due = timers;
    timers = [];
    for (const one of due) one();
  };
  /** Makes a call so many milliseconds after the last, and has what it waits for written. @returns whether it waited */
  const call = async (task: TaskId, afterMs: number): Promise<boolean> => {
    state.now += afterMs;
    for (const one of chainOf(task)) calls.set(one, (calls.get(one) ?? 0) + 1);
    const keeping = ledger.keep(task);
    await commit();
    expect(await keeping).toBe(true);
    return keeping !== true;
  };
  /** What the store has, last. */
  const stored = (task: TaskId) => written.flat().findLast((row) => row.task === task)?.memory;
  for (const task of [TOP, CHILD, OTHER]) ledger.add(task, 1);
  return { ledger, calls, memories, written, state, commit, settle, turn, look, call, stored, timers: () => timers };
}

const LIMITED: TaskUsage = { read: 0 };

describe('the ledger of a node’s tasks', () => {
  it('writes a call’s task with those above it', async () => {
    const { ledger, written, commit } = world(LIMITED);
    const kept = ledger.keep(CHILD);
    await commit();
    expect(await kept).toBe(true);
    expect(written.map((rows) => rows.map(({ task }) => task))).toEqual([[CHILD, TOP]]);
  });

  it('all that ask while a statement is under way share the next, which has the newest of each', async () => {
    const { ledger, calls, written, commit, settle } = world(LIMITED);
    const first = ledger.keep(TOP);
    await settle();
    calls.set(TOP, 1);
    const others = [ledger.keep(TOP), ledger.keep(OTHER)];
    calls.set(TOP, 2);
    others.push(ledger.keep(TOP));
    await commit();
    expect(await first).toBe(true);
    await commit();
    expect(await Promise.all(others)).toEqual([true, true, true]);
    expect(written).toHaveLength(2);
    expect(written[1]).toEqual([
      { task: TOP, fence: 1, memory: { calls: 2, usage: LIMITED } },
      { task: OTHER, fence: 1, memory: { calls: 0, usage: LIMITED } },
    ]);
  });

  it('after several that waited together, the next are gathered for as long as each turn adds to them', async () => {
    const { ledger, written, commit, turn } = world(LIMITED);
    const kept = [ledger.keep(TOP), ledger.keep(OTHER)];
    await commit();
    kept.push(ledger.keep(TOP));
    await turn();
    expect(written, 'one of one: nothing to wait for').toHaveLength(2);
    await commit();
    kept.push(ledger.keep(TOP), ledger.keep(TOP));
    await commit();
    kept.push(ledger.keep(TOP), ledger.keep(TOP));
    await turn();
    expect(written, 'two have come').toHaveLength(3);
    kept.push(ledger.keep(OTHER));
    await turn();
    expect(written, 'and one more').toHaveLength(3);
    await turn();
    expect(written.at(-1)?.map(({ task }) => task)).toEqual([TOP, OTHER]);
    await commit();
    expect(await Promise.all(kept)).toEqual(kept.map(() => true));
  });

  it('calls that come without end do not keep a batch from being written', async () => {
    const { ledger, written, commit, turn } = world(LIMITED);
    const kept = [ledger.keep(TOP), ledger.keep(TOP)];
    await commit();
    kept.push(ledger.keep(OTHER), ledger.keep(OTHER));
    for (let turns = 0; turns < 20 && written.length < 2; turns += 1) {
      await turn();
      kept.push(ledger.keep(OTHER));
    }
    expect(written).toHaveLength(2);
    await commit();
    await turn();
    await turn();
    await commit();
    expect(await Promise.all(kept)).toEqual(kept.map(() => true));
  });

  it('says of each task by itself that it is another node’s by now; and of a child where the one above it is', async () => {
    const { ledger, state, commit } = world(LIMITED);
    state.lost.add(TOP);
    const kept = Promise.all([ledger.keep(CHILD), ledger.keep(OTHER)]);
    await commit();
    expect(await kept).toEqual([false, true]);
  });

  it('D1 a store that fails refuses all that waited for it, and the next are written anew', async () => {
    const { ledger, state, commit, turn } = world(LIMITED);
    state.fault = new Error('no store');
    const kept = Promise.allSettled([ledger.keep(TOP), ledger.keep(OTHER)]);
    await commit();
    expect((await kept).map(({ status }) => status)).toEqual(['rejected', 'rejected']);
    state.fault = undefined;
    const again = ledger.keep(TOP);
    await turn();
    await commit();
    expect(await again).toBe(true);
  });

  it('a fence never goes back: of two claims the older may be gone on with last', async () => {
    const { ledger, written, commit } = world(LIMITED);
    ledger.add(TOP, 3);
    ledger.add(TOP, 2);
    void ledger.keep(TOP);
    await commit();
    expect(written[0]).toMatchObject([{ task: TOP, fence: 3 }]);
    ledger.remove(TOP);
    ledger.add(TOP, 2);
    void ledger.keep(TOP);
    await commit();
    expect(written[1], 'once it has been let go of, what is claimed counts').toMatchObject([{ task: TOP, fence: 2 }]);
  });

  it('a task that is not this node’s is not kept, and nothing is written for it', async () => {
    const { ledger, written, commit } = world(LIMITED);
    ledger.remove(OTHER);
    const kept = ledger.keep(OTHER);
    await commit();
    expect(await kept).toBe(false);
    expect(written).toEqual([]);
    expect(ledger.has(OTHER)).toBe(false);
  });
});

describe('calls that are counted ahead', () => {
  it('none at the pace of a model: each call waits, and the store has the exact number', async () => {
    const { call, stored, timers } = world();
    for (let made = 1; made <= 8; made += 1) {
      expect(await call(TOP, 100)).toBe(true);
      expect(stored(TOP)).toEqual({ calls: made });
    }
    expect(timers(), 'there is nothing to give back').toEqual([]);
  });

  it('calls that come fast do not wait, and the store is told of more when half is used', async () => {
    const { call, written, stored } = world();
    expect(await call(TOP, 1)).toBe(true);
    expect(stored(TOP)).toEqual({ calls: 41, ahead: { calls: 40, by: 'na' } });
    for (let made = 2; made <= 20; made += 1) expect(await call(TOP, 1)).toBe(false);
    expect(written).toHaveLength(1);
    expect(await call(TOP, 1), 'the half').toBe(false);
    expect(written).toHaveLength(2);
    expect(stored(TOP)?.calls).toBe(21 + 40);
  });

  it('never more than a part of what is left of the budget, nor more than a bound', async () => {
    const { call, state, stored } = world();
    for (const [left, ahead, task] of [
      [1_000_000, 40, TOP],
      [320, 20, CHILD],
      [15, 0, OTHER],
    ] as const) {
      state.left = left;
      await call(task, 0);
      expect(stored(task)?.ahead?.calls ?? 0, `${left} left`).toBe(ahead);
    }
    expect([callsAhead(4, 1, 1_000_000), callsAhead(4, 1, 320), callsAhead(4, 0, 1_000_000)]).toEqual([128, 20, 128]);
  });

  it.each([
    ['labels', { flow: { labels: { trust: 'untrusted', dataClasses: [], zones: [] }, outward: 0 } }],
    ['a prompt', { prompt: 'sha256:1' }],
    ['a risk', { risk: { points: 1, at: 0 } }],
  ] as const)(
    '%s that came meanwhile: the call waits for them, however much is counted ahead',
    async (_what, change) => {
      const { call, memories, stored } = world();
      await call(TOP, 1);
      expect(await call(TOP, 1)).toBe(false);
      memories.set(TOP, change as Partial<TaskMemory>);
      expect(await call(TOP, 1)).toBe(true);
      expect(stored(TOP)).toMatchObject(change);
      expect(stored(TOP)?.calls, 'never less than was told').toBeGreaterThanOrEqual(41);
      expect(await call(TOP, 1)).toBe(false);
    },
  );

  it('where anything is counted against limits each call waits: that changes with each', async () => {
    const { call, memories, stored } = world();
    memories.set(TOP, { usage: { read: 1 } });
    for (let made = 1; made <= 5; made += 1) expect(await call(TOP, 1)).toBe(true);
    expect(stored(TOP)).toEqual({ calls: 5, usage: { read: 1 } });
  });

  it('where something comes to be counted against a limit the next call waits, and once more when it is not any more', async () => {
    const { call, ledger, memories, commit, stored } = world();
    await call(TOP, 1);
    for (const [usage, has] of [
      [{ read: 1 }, { usage: { read: 1 } }],
      [undefined, {}],
    ] as const) {
      expect(await call(TOP, 1)).toBe(usage === undefined);
      memories.set(TOP, { usage });
      const keeping = ledger.keep(TOP);
      expect(keeping).not.toBe(true);
      await commit();
      expect(await keeping).toBe(true);
      expect(stored(TOP)).toMatchObject(has);
    }
    expect(stored(TOP)?.usage).toBeUndefined();
  });

  it('a call of a child waits where the store has not all of the task above it', async () => {
    const { ledger, call, memories, commit } = world();
    await call(CHILD, 1);
    expect(await call(CHILD, 1)).toBe(false);
    memories.set(TOP, { prompt: 'sha256:2' });
    const keeping = ledger.keep(CHILD);
    expect(keeping).not.toBe(true);
    await commit();
    expect(await keeping).toBe(true);
  });

  it('what is not used is given back, and while that is written no call takes of it', async () => {
    const { ledger, call, look, calls, commit, settle, stored, timers } = world();
    await call(TOP, 1);
    await call(TOP, 1);
    look();
    expect(stored(TOP)?.calls, 'it was in use').toBe(41);
    look();
    await settle();
    expect(stored(TOP)).toEqual({ calls: 2 });
    calls.set(TOP, 3);
    const keeping = ledger.keep(TOP);
    expect(keeping).not.toBe(true);
    await commit();
    await commit();
    expect(await keeping).toBe(true);
    expect(stored(TOP)?.calls).toBeGreaterThanOrEqual(3);
    look();
    look();
    await commit();
    look();
    expect(timers(), 'there is nothing left to look for').toEqual([]);
  });

  it('all of it is given back before the tasks are left to others, and nothing is looked for after that', async () => {
    const { ledger, call, commit, stored, timers } = world();
    await call(TOP, 1);
    await call(OTHER, 1);
    const settling = ledger.settle();
    await commit();
    await settling;
    expect([stored(TOP), stored(OTHER)]).toEqual([{ calls: 1 }, { calls: 1 }]);
    expect(timers()).toEqual([]);
    await ledger.settle();
  });

  it('D1 a store that fails: what it was told of may be used up, and then calls are refused', async () => {
    const { ledger, call, calls, state, commit } = world();
    await call(TOP, 1);
    state.fault = new Error('no store');
    for (let made = 2; made <= 41; made += 1) expect(await call(TOP, 1)).toBe(false);
    calls.set(TOP, 42);
    const keeping = Promise.resolve(ledger.keep(TOP));
    const refused = expect(keeping).rejects.toThrow('no store');
    await commit();
    await commit();
    await refused;
  });

  it('a task that is another’s by now is met by the next call, whatever was counted ahead', async () => {
    const { ledger, call, calls, state, commit } = world();
    await call(TOP, 1);
    state.lost.add(TOP);
    for (let made = 2; made <= 21; made += 1) await call(TOP, 1);
    calls.set(TOP, 22);
    const keeping = ledger.keep(TOP);
    expect(keeping).not.toBe(true);
    await commit();
    expect(await keeping).toBe(false);
  });

  it('nothing that was counted under an older fence counts under a newer one', async () => {
    const { ledger, call, stored } = world();
    await call(TOP, 1);
    expect(await call(TOP, 1)).toBe(false);
    ledger.add(TOP, 2);
    expect(await call(TOP, 1)).toBe(true);
    expect(stored(TOP)?.calls).toBeGreaterThanOrEqual(3);
  });

  it('nor what was answered under the older one once the newer was there: others may have written since', async () => {
    const { ledger, calls, call, commit, settle } = world();
    calls.set(TOP, 1);
    const keeping = ledger.keep(TOP);
    await settle();
    ledger.add(TOP, 3);
    await commit();
    expect(await keeping).toBe(true);
    expect(await call(TOP, 1)).toBe(true);
  });

  it('all of it is given back where a statement is under way meanwhile', async () => {
    const { ledger, calls, call, state, commit, settle, stored } = world();
    await call(TOP, 1);
    for (let made = 2; made <= 20; made += 1) await call(TOP, 1);
    // Told of more, and not answered yet.
    state.now += 1;
    calls.set(TOP, 21);
    expect(ledger.keep(TOP)).toBe(true);
    await settle();
    expect(stored(TOP)?.calls).toBe(61);
    const settling = ledger.settle();
    await commit();
    await commit();
    await settling;
    expect(stored(TOP)).toEqual({ calls: 21 });
  });

  it('all of it is given back where an answer was lost', async () => {
    const { ledger, call, state, commit, stored } = world();
    await call(OTHER, 1);
    state.fault = new Error('lost');
    for (let made = 2; made <= 41; made += 1) await call(OTHER, 1);
    expect(stored(OTHER)?.calls).toBeGreaterThan(41);
    state.fault = undefined;
    const again = ledger.settle();
    await commit();
    await commit();
    await again;
    expect(stored(OTHER)).toEqual({ calls: 41 });
  });

  it('after they were given back for good nothing is looked for, whatever is still written', async () => {
    const { ledger, call, commit, timers } = world();
    const settling = ledger.settle();
    await commit();
    await settling;
    await call(TOP, 1);
    expect(timers()).toEqual([]);
  });

  it('V1 a call of a task that was let go of and came back does not go on by what was written for its new life', async () => {
    const { ledger, calls, commit, settle, written } = world(LIMITED);
    const first = ledger.keep(OTHER);
    await settle();
    calls.set(TOP, 11);
    const waiting = ledger.keep(TOP);
    // Another node had it for a while, and the store knows nothing of that call.
    ledger.remove(TOP);
    calls.set(TOP, 10);
    ledger.add(TOP, 3);
    await commit();
    await commit();
    expect(await first).toBe(true);
    expect(written[1]).toMatchObject([{ task: TOP, fence: 3, memory: { calls: 10 } }]);
    expect(await waiting).toBe(false);
    const next = ledger.keep(TOP);
    await commit();
    expect(await next).toBe(true);
  });
});
