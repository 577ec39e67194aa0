import { describe, expect, it } from 'vitest';
import { type TaskId, taskId, tenantId } from '../../src/domain/ids.ts';
import type { OwnedTask } from '../../src/domain/node.ts';
import { createTaskLedger } from '../../src/nodes/task-ledger.ts';

const [TOP, CHILD, OTHER] = [taskId('tsk_top'), taskId('tsk_child'), taskId('tsk_other')];

function world() {
  const calls = new Map<TaskId, number>();
  const written: (readonly OwnedTask[])[] = [];
  const state = { lost: new Set<TaskId>(), fault: undefined as Error | undefined };
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
    memoryOf: (task) => ({ calls: calls.get(task) ?? 0 }),
    chainOf: (task) => (task === CHILD ? [CHILD, TOP] : [task]),
    nextTurn: (resume) => void turns.push(resume),
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
  for (const task of [TOP, CHILD, OTHER]) ledger.add(task, 1);
  return { ledger, calls, written, state, commit, settle, turn };
}

describe('the ledger of a node’s tasks', () => {
  it('writes a call’s task with those above it', async () => {
    const { ledger, written, commit } = world();
    const kept = ledger.keep(CHILD);
    await commit();
    expect(await kept).toBe(true);
    expect(written.map((rows) => rows.map(({ task }) => task))).toEqual([[CHILD, TOP]]);
  });

  it('all that ask while a statement is under way share the next, which has the newest of each', async () => {
    const { ledger, calls, written, commit, settle } = world();
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
      { task: TOP, fence: 1, memory: { calls: 2 } },
      { task: OTHER, fence: 1, memory: { calls: 0 } },
    ]);
  });

  it('after several that waited together, the next are gathered for as long as each turn adds to them', async () => {
    const { ledger, written, commit, turn } = world();
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
    const { ledger, written, commit, turn } = world();
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
    const { ledger, state, commit } = world();
    state.lost.add(TOP);
    const kept = Promise.all([ledger.keep(CHILD), ledger.keep(OTHER)]);
    await commit();
    expect(await kept).toEqual([false, true]);
  });

  it('D1 a store that fails refuses all that waited for it, and the next are written anew', async () => {
    const { ledger, state, commit, turn } = world();
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
    const { ledger, written, commit } = world();
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
    const { ledger, written, commit } = world();
    ledger.remove(OTHER);
    const kept = ledger.keep(OTHER);
    await commit();
    expect(await kept).toBe(false);
    expect(written).toEqual([]);
    expect(ledger.has(OTHER)).toBe(false);
  });
});
