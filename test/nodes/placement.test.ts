import { describe, expect, it } from 'vitest';
import { taskId, tenantId } from '../../src/domain/ids.ts';
import type { OwnedTask, TaskPlace } from '../../src/domain/node.ts';
import { ADOPTED_AT_ONCE, CARE_MS, MOST_PLACES, PLACE_MS } from '../../src/nodes/bounds.ts';
import { createPlacement } from '../../src/nodes/placement.ts';
import { createFakeTime } from '../support/fake-lease-time.ts';

const TASK = taskId('tsk_one');
const owned: OwnedTask = { task: TASK, fence: 2, memory: { calls: 1 } };

function world() {
  const time = createFakeTime();
  const log: string[] = [];
  const state = {
    place: undefined as TaskPlace | undefined,
    isMember: true,
    isServed: true,
    lost: [] as string[],
    orphans: [] as OwnedTask[],
    adoptFault: undefined as Error | undefined,
    adopting: Promise.resolve(),
    /** What a claim of orphans waits for. */
    claiming: Promise.resolve(),
    buryFault: undefined as Error | undefined,
  };
  const placement = createPlacement({
    tenant: tenantId('acme'),
    owner: 'na',
    nodes: { bury: async () => state.lost.splice(0) },
    places: {
      async find() {
        log.push('find');
        return state.place;
      },
      async claim(_tenant, owner, which) {
        log.push(`claim ${typeof which === 'object' ? (Object.keys(which)[0] as string) : which}`);
        if (typeof which === 'object' && 'mine' in which) return [owned];
        if (typeof which === 'object' && 'orphans' in which) {
          await state.claiming;
          return state.orphans.splice(0, which.orphans);
        }
        if (state.place?.address !== undefined) return [];
        state.place = { family: TASK, owner, address: 'http://a' };
        return [owned];
      },
    },
    monotonic: time.clock,
    schedule: time.schedule,
    log: { debug() {}, info() {}, warn() {}, error() {} },
    isMember: () => state.isMember,
    isServed: () => state.isServed,
    async adopt(tasks) {
      await state.adopting;
      if (state.adoptFault !== undefined) throw state.adoptFault;
      log.push(`adopt ${tasks.map(({ task }) => task).join(' ')}`);
      state.isServed = true;
    },
    async onBuried(node) {
      if (state.buryFault !== undefined) throw state.buryFault;
      log.push(`buried ${node}`);
    },
  });
  return { time, log, state, placement };
}

describe('placement', () => {
  it('names the node that has a task, and asks anew when that may have changed', async () => {
    const { placement, state, log, time } = world();
    state.place = { family: TASK, owner: 'nb', address: 'http://b' };
    for (let asked = 0; asked < 3; asked++) {
      expect(await placement.locate(TASK)).toMatchObject({ address: 'http://b' });
    }
    expect(log).toEqual(['find']);
    placement.misplaced(TASK);
    await placement.locate(TASK);
    await time.advance(PLACE_MS);
    await placement.locate(TASK);
    expect(log).toEqual(['find', 'find', 'find']);
  });

  it('I3 remembers so many places and no more', async () => {
    const { placement, state, log } = world();
    state.place = { family: TASK, owner: 'nb', address: 'http://b' };
    for (let n = 0; n < MOST_PLACES; n += 1) await placement.locate(taskId(`tsk_${n}`));
    await placement.locate(taskId('tsk_0'));
    expect(log).toHaveLength(MOST_PLACES);
    await placement.locate(TASK);
    await placement.locate(taskId('tsk_0'));
    expect(log).toHaveLength(MOST_PLACES + 2);
  });

  it('a task that has ended, or never was, is nowhere; and nowhere is not remembered', async () => {
    const { placement, state } = world();
    expect(await placement.locate(TASK)).toBe('nowhere');
    state.place = { family: TASK, owner: 'nb', address: 'http://b' };
    expect(await placement.locate(TASK)).toMatchObject({ address: 'http://b' });
  });

  it('a task that nobody owns is this node’s, and served when it has been gone on with', async () => {
    const { placement, state, log } = world();
    state.place = { family: TASK, owner: 'nb', address: undefined };
    expect(await placement.locate(TASK)).toBe('here');
    expect(log).toEqual(['find', 'claim family', `adopt ${TASK}`, 'find']);
  });

  it('a task that is its own by the store’s word, and is not gone on with, is gone on with: nobody else would take it', async () => {
    const { placement, state, log } = world();
    state.place = { family: TASK, owner: 'na', address: 'http://a' };
    state.isServed = false;
    expect(await placement.locate(TASK)).toBe('here');
    expect(log).toEqual(['find', 'claim mine', `adopt ${TASK}`]);
    state.isServed = true;
    expect(await placement.locate(TASK)).toBe('here');
    expect(log).toHaveLength(4);
  });

  it('D1 a task that is its own and cannot be gone on with is not said to be served here, and is tried again', async () => {
    const { placement, state, log } = world();
    state.place = { family: TASK, owner: 'na', address: 'http://a' };
    state.isServed = false;
    state.adoptFault = new Error('no store');
    await expect(placement.locate(TASK)).rejects.toThrow('no store');
    state.adoptFault = undefined;
    expect(await placement.locate(TASK)).toBe('here');
    expect(log.at(-1)).toContain(`adopt ${TASK}`);
  });

  it('who asks while it is being gone on with waits for that', async () => {
    const { placement, state, time } = world();
    let go = (): void => {};
    state.adopting = new Promise((resolve) => {
      go = resolve;
    });
    state.place = { family: TASK, owner: 'nb', address: undefined };
    const first = placement.locate(TASK);
    await time.settle();
    let isHere = false;
    const second = placement.locate(TASK).then(() => {
      isHere = true;
    });
    await time.settle();
    expect(isHere).toBe(false);
    go();
    await Promise.all([first, second]);
  });

  it('a node that is no member takes nothing over', async () => {
    const { placement, state, log } = world();
    state.isMember = false;
    state.place = { family: TASK, owner: 'nb', address: undefined };
    // Not nowhere: it goes on as soon as somebody may take it.
    expect(await placement.locate(TASK)).toEqual({ address: '' });
    expect(log).not.toContain('claim family');
  });

  it('looks again and again for lost nodes, and for what they left', async () => {
    const { placement, state, log, time } = world();
    placement.begin();
    await time.settle();
    state.lost = ['nb'];
    state.orphans = [owned];
    await time.advance(CARE_MS);
    expect(log).toContain('buried nb');
    expect(log).toContain(`adopt ${TASK}`);
    placement.close();
    const { length } = log;
    await time.advance(10 * CARE_MS);
    expect(log).toHaveLength(length);
  });

  it('L5 what lost nodes left is seen to, whatever fails on the way: each is buried once', async () => {
    const { placement, state, log, time } = world();
    state.lost = ['nb', 'nc'];
    state.buryFault = new Error('no store');
    placement.begin();
    await time.settle();
    expect(log).toEqual([]);
    state.buryFault = undefined;
    await time.advance(CARE_MS);
    expect(log.slice(0, 2)).toEqual(['buried nb', 'buried nc']);
    await time.advance(CARE_MS);
    expect(log.filter((line) => line.startsWith('buried'))).toHaveLength(2);
    placement.close();
  });

  it('takes all that lost nodes left, some families at a time', async () => {
    const { placement, state, log, time } = world();
    state.orphans = Array.from({ length: ADOPTED_AT_ONCE + 1 }, (_, n) => ({ ...owned, task: taskId(`tsk_${n}`) }));
    placement.begin();
    await time.settle();
    expect(state.orphans).toEqual([]);
    expect(log.filter((line) => line.startsWith('adopt'))).toHaveLength(2);
    placement.close();
  });

  it('a task that is this node’s by the store’s word, and that it may not go on with now, has not ended', async () => {
    const { placement, state } = world();
    state.place = { family: TASK, owner: 'na', address: 'http://a' };
    state.isServed = false;
    state.isMember = false;
    expect(await placement.locate(TASK)).toEqual({ address: '' });
    state.isMember = true;
    expect(await placement.locate(TASK)).toBe('here');
  });

  it('a node that stops takes nothing over, whoever asks', async () => {
    const { placement, state, log } = world();
    placement.close();
    state.place = { family: TASK, owner: 'nb', address: undefined };
    expect(await placement.locate(TASK)).toEqual({ address: '' });
    expect(log).toEqual(['find', 'find']);
  });

  it('forgets where a task was when it has become its own', async () => {
    const { placement, state, time } = world();
    state.place = { family: TASK, owner: 'nb', address: 'http://b' };
    await placement.locate(TASK);
    state.orphans = [owned];
    placement.begin();
    await time.settle();
    state.place = { family: TASK, owner: 'na', address: 'http://a' };
    expect(await placement.locate(TASK)).toBe('here');
    placement.close();
  });

  it('what could not be gone on with is tried again, also where another claim is under way when that fails', async () => {
    const { placement, state, log, time } = world();
    let go = (): void => {};
    state.claiming = new Promise((resolve) => {
      go = resolve;
    });
    placement.begin();
    await time.settle();
    state.adoptFault = new Error('no vault');
    state.place = { family: TASK, owner: 'nb', address: undefined };
    await expect(placement.locate(TASK)).rejects.toThrow('no vault');
    state.adoptFault = undefined;
    go();
    await time.settle();
    expect(log).toContain(`adopt ${TASK}`);
    placement.close();
  });

  it('what a node that was taken to be lost had known, it forgets: what is its own it learns anew', async () => {
    const { placement, state, log, time } = world();
    state.place = { family: TASK, owner: 'nb', address: 'http://b' };
    await placement.locate(TASK);
    state.adoptFault = new Error('no vault');
    state.orphans = [owned];
    placement.begin();
    await time.settle();
    placement.lose();
    state.adoptFault = undefined;
    await time.advance(CARE_MS);
    expect(log).not.toContain(`adopt ${TASK}`);
    await placement.locate(TASK);
    expect(log.filter((line) => line === 'find')).toHaveLength(2);
    placement.close();
  });

  it('what could not be gone on with is tried again: it is nobody else’s any more', async () => {
    const { placement, state, log, time } = world();
    state.adoptFault = new Error('no vault');
    state.orphans = [owned];
    placement.begin();
    await time.settle();
    expect(log).not.toContain(`adopt ${TASK}`);
    state.adoptFault = undefined;
    await time.advance(CARE_MS);
    expect(log).toContain(`adopt ${TASK}`);
    placement.close();
  });
});
