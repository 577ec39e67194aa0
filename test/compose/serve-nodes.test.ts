import { describe, expect, it } from 'vitest';
import { assertActing, NOT_A_MEMBER } from '../../src/compose/nodes/not-acting.ts';
import { servedTasks, sharedMemory, unready } from '../../src/compose/nodes/serve-nodes.ts';
import { RemitError } from '../../src/domain/errors.ts';
import { taskId } from '../../src/domain/ids.ts';

/** How a node that may not act, or cannot, denies. */
const TASK = taskId('tsk_one');

function world() {
  const state = {
    isMember: true,
    isCurrent: true,
    isSpent: false,
    clockFault: undefined as string | undefined,
    keep: (): true | Promise<boolean> => Promise.resolve(true),
    family: [TASK],
  };
  const dropped: string[] = [];
  const nodes = {
    isMember: () => state.isMember,
    clockFault: () => state.clockFault,
    confirm: async () => state.isMember,
    ledger: { keep: () => state.keep() },
    async moved() {
      // What has been let go of is of no family any more.
      return dropped.length === 0 ? state.family : [];
    },
  } as unknown as Parameters<typeof sharedMemory>[0];
  const adoption = {
    drop: async (task: string) => void dropped.push(task),
    hasMoved: (task: string) => dropped.includes(task),
  } as unknown as Parameters<typeof sharedMemory>[1];
  const silent = () => {};
  const workspace = { system: { log: { warn: silent, error: silent } } } as unknown as Parameters<
    typeof sharedMemory
  >[2];
  const revocation = {
    isCurrent: () => state.isCurrent,
    barred: () => undefined,
    confirm: async () => false,
  } as unknown as Parameters<typeof servedTasks>[1];
  const tasks = {
    get: () => ({ id: TASK }),
    takeCall: () => (state.isSpent ? { refused: 'budget_exhausted' } : { callsLeft: 1 }),
  } as unknown as Parameters<typeof servedTasks>[0];
  return {
    state,
    dropped,
    ...(sharedMemory(nodes, adoption, workspace) as NonNullable<ReturnType<typeof sharedMemory>>),
    served: servedTasks(tasks, revocation, nodes, adoption),
    alone: servedTasks(tasks, revocation, undefined, adoption),
    unready: () => unready(revocation, nodes),
    assertActing: assertActing(
      {
        async assertCurrent() {
          if (!state.isCurrent) throw new RemitError('ERR_STORE_UNREACHABLE', 'not current');
        },
      },
      nodes,
    ),
  };
}

describe('a node among others', () => {
  it('lets a call go on when what it leaves behind is kept', async () => {
    const { keep, dropped } = world();
    expect(await keep(TASK)).toBeUndefined();
    expect(dropped).toEqual([]);
  });

  it('D1 refuses where the store fails: nothing is sent, and the task stays', async () => {
    const { keep, state, dropped } = world();
    state.keep = () => Promise.reject(new RemitError('ERR_STORE_UNREACHABLE', 'no store'));
    expect(await keep(TASK)).toMatchObject({
      refusal: { kind: 'unavailable', reason: 'no store', isForwarded: false },
    });
    expect(dropped).toEqual([]);
  });

  it('waits for nothing where what it leaves behind is kept already', () => {
    const { keep, state } = world();
    state.keep = () => true;
    expect(keep(TASK)).toBeUndefined();
  });

  it('D1 refuses what is kept, or was, once it is no member any more', () => {
    const { confirm, state } = world();
    expect(confirm()).toBeUndefined();
    state.isMember = false;
    expect(confirm()).toMatchObject({ refusal: NOT_A_MEMBER });
  });

  it('refuses a task that is another’s by now, and lets go of it', async () => {
    const { keep, state, dropped } = world();
    state.keep = async () => false;
    expect(await keep(TASK)).toMatchObject({ refusal: { kind: 'unavailable', isForwarded: false } });
    expect(dropped).toContain(TASK);
  });

  it('lets go of all of the family that moved with it', async () => {
    const { keep, state, dropped } = world();
    state.keep = async () => false;
    state.family = [TASK, taskId('tsk_parent'), taskId('tsk_sibling')];
    await keep(TASK);
    await new Promise((resolve) => setImmediate(resolve));
    expect(new Set(dropped)).toEqual(new Set(state.family));
  });

  it('does not say that a task has ended which it has let go of: it is to be asked for again', async () => {
    const { served, keep, state } = world();
    expect(served.barred(TASK)).toBeUndefined();
    state.keep = async () => false;
    await keep(TASK);
    expect(served.barred(TASK)).toMatchObject({ kind: 'unavailable', isForwarded: false });
  });

  it('D1 gives no task while it is no member, and while it cannot tell what has been revoked', () => {
    const { served, state, unready: why } = world();
    expect(served.get(TASK)).toBeDefined();
    expect(why()).toBeUndefined();
    state.isMember = false;
    expect(served.get(TASK)).toBeUndefined();
    expect(served.barred(TASK)).toBe(NOT_A_MEMBER);
    expect(why()).toContain('member');
    state.isMember = true;
    state.isCurrent = false;
    expect(served.get(TASK)).toBeUndefined();
    expect(why()).toContain('revocation');
  });

  it('D1 gives no task, and begins none, while it cannot tell what has been revoked, alone as among others', async () => {
    const { served, alone, state, assertActing: asserted } = world();
    expect([served.get(TASK), alone.get(TASK)]).toMatchObject([{ id: TASK }, { id: TASK }]);
    await asserted();
    state.isCurrent = false;
    expect([served.get(TASK), alone.get(TASK)]).toEqual([undefined, undefined]);
    await expect(asserted()).rejects.toThrow('not current');
  });

  it('D1 takes no call of a budget that is spent', () => {
    const { served, state } = world();
    expect(served.takeCall(TASK)).toBe(true);
    state.isSpent = true;
    expect(served.takeCall(TASK)).toBe(false);
  });

  it('D1 one whose clock is wrong gives and begins nothing, keeps from acting, and says what is wrong and what to do', async () => {
    const { served, confirm, state, unready: why, assertActing: asserted } = world();
    await asserted();
    state.isMember = false;
    state.clockFault = 'this host’s clock is 60 seconds behind the database’s';
    const refusal = {
      kind: 'unavailable',
      reason: expect.stringContaining('60 seconds behind'),
      nextStep: expect.stringContaining('NTP'),
      isForwarded: false,
    };
    expect(served.get(TASK)).toBeUndefined();
    expect(served.barred(TASK)).toMatchObject(refusal);
    expect(confirm()).toMatchObject({ refusal });
    expect(why()).toBe(state.clockFault);
    await expect(asserted()).rejects.toMatchObject({ code: 'ERR_STORE_UNREACHABLE' });
  });
});
