import { describe, expect, it } from 'vitest';
import { buildNodes, type Nodes } from '../../src/compose/nodes/build-nodes.ts';
import { RemitError } from '../../src/domain/errors.ts';
import { type TaskId, taskId, tenantId } from '../../src/domain/ids.ts';
import type { OwnedTask, SeenNode, TaskPlace } from '../../src/domain/node.ts';
import type { Task } from '../../src/domain/task.ts';
import { BEAT_MS, CARE_MS, PLACE_MS } from '../../src/nodes/bounds.ts';
import type { Notice } from '../../src/seams/shared-store.ts';
import { createFakeTime } from '../support/fake-lease-time.ts';

const TENANT = tenantId('acme');
const [TOP, CHILD, OTHER, NEW] = ['top', 'child', 'other', 'new'].map((name) => taskId(`tsk_${name}`)) as [
  TaskId,
  TaskId,
  TaskId,
  TaskId,
];
const chainOf = (task: TaskId): TaskId[] => (task === CHILD ? [CHILD, TOP] : [task]);

/** A node `na` of a store that does as it is told, and what it does in order. */
function world() {
  const time = createFakeTime();
  const did: string[] = [];
  const state = {
    told: 'renewed' as 'renewed' | 'buried',
    /** So many times another one is just joining, and stands still. */
    locked: 0,
    lost: [] as string[],
    others: [] as string[],
    places: new Map<TaskId, TaskPlace>(),
    earlier: [] as OwnedTask[],
    keepFault: undefined as Error | undefined,
  };
  let onEnd: (task: Task) => Promise<void> = async () => {};
  let onNotice: (notice: Notice) => void = () => {};
  const shared = {
    nodes: {
      async join() {
        if (state.locked-- > 0) throw new RemitError('ERR_STORE_LOCKED', 'another session holds a lock');
        return did.push('join');
      },
      async renew({ address }: { address: string }) {
        did.push(`renew ${address}`);
        return state.told === 'buried' ? 'buried' : time.clock();
      },
      leave: async () => void did.push('leave'),
      list: async () => ['na', ...state.others].map((name) => ({ name }) as SeenNode),
      bury: async () => state.lost.splice(0),
    },
    places: {
      own: async (_tenant: string, owner: string, task: TaskId, family: TaskId) =>
        void did.push(`own ${owner} ${task} of ${family}`),
      find: async (_tenant: string, task: TaskId) => state.places.get(task),
      claim: async (_tenant: string, _owner: string, which: unknown) => (which === 'earlier' ? state.earlier : []),
      async keep(_tenant: string, _owner: string, rows: readonly OwnedTask[]) {
        did.push(`keep ${rows.map(({ task, memory }) => `${task} ${memory.calls}`).join(' ')}`);
        if (state.keepFault !== undefined) throw state.keepFault;
        return new Set(rows.map(({ task }) => task));
      },
      forget: async (_tenant: string, tasks: readonly TaskId[]) => void did.push(`forget ${tasks.join(' ')}`),
    },
    notices: {
      listen(_tenant: string, heard: typeof onNotice) {
        onNotice = heard;
        return { stop: async () => void did.push('deaf') };
      },
    },
    server: { now: async () => time.clock() },
  };
  const silent = () => {};
  const calls = new Map<TaskId, number>();
  const heard: Notice[] = [];
  const nodes = buildNodes({
    workspace: {
      store: { shared },
      node: 'na',
      estate: { tenant: TENANT },
      config: { store: { kind: 'postgres', connections: 10 }, journal: { ship: {} } },
      system: {
        clock: time.clock,
        monotonic: time.clock,
        schedule: time.schedule,
        log: {
          debug: silent,
          info: silent,
          warn: (_: object, text: string) => did.push(`warn ${text}`),
          error: silent,
        },
      },
    },
    version: '1',
    tasks: {
      chainOf,
      callsLeft: () => 1_000,
      onEnd(listener: typeof onEnd) {
        onEnd = listener;
      },
    },
    leases: () => ({ takeOver: async (node: string) => void did.push(`take over ${node}`) }),
    policyVersion: () => 'p',
    memoryOf: (task: TaskId) => ({ calls: calls.get(task) ?? 0 }),
    adopt: async (owned: readonly OwnedTask[]) => void did.push(`adopt ${owned.map(({ task }) => task).join(' ')}`),
    drop: async (task: TaskId) => void did.push(`drop ${task}`),
    onNotice: (notice: Notice) => heard.push(notice),
    recordLater: silent,
  } as unknown as Parameters<typeof buildNodes>[0]) as Nodes;
  return {
    nodes,
    time,
    did,
    state,
    calls,
    heard,
    end: (id: TaskId) => onEnd({ id } as Task),
    hear: (notice: Notice) => onNotice(notice),
  };
}

const place = (owner: string, family = TOP): TaskPlace => ({ family, owner, address: `http://${owner}` });

describe('this gateway among the others', () => {
  it('waits for one that stands still while it joins, as long as it can', async () => {
    const { nodes, did, state } = world();
    state.locked = 3;
    await nodes.join();
    expect(did).toEqual(['join']);
    state.locked = 4;
    await expect(nodes.join()).rejects.toMatchObject({ code: 'ERR_STORE_LOCKED' });
  });

  it('a child’s place is of the family of the task at the top, so that a family moves whole', async () => {
    const { nodes, did } = world();
    await nodes.own(NEW, undefined);
    await nodes.own(NEW, CHILD);
    expect(did).toEqual([`own na ${NEW} of ${NEW}`, `own na ${NEW} of ${TOP}`]);
  });

  it('V2 a task that has ended is kept no more, and has no place', async () => {
    const { nodes, did, end } = world();
    nodes.ledger.add(TOP, 1);
    await end(TOP);
    expect(nodes.ledger.has(TOP)).toBe(false);
    expect(did).toEqual([`forget ${TOP}`]);
  });

  it('D1 one that was taken to be lost lets go of every task, knows no place any more, and goes on with what is its own', async () => {
    const { nodes, time, did, state } = world();
    await nodes.join();
    for (const task of [TOP, OTHER]) nodes.ledger.add(task, 1);
    state.places.set(NEW, place('nb', NEW));
    expect(await nodes.placement.locate(NEW)).toMatchObject({ address: 'http://nb' });
    state.places.delete(NEW);
    state.earlier = [{ task: OTHER, fence: 2, memory: { calls: 0 } }];
    state.told = 'buried';
    did.length = 0;
    await time.advance(BEAT_MS);
    expect(did).toEqual([
      'renew ',
      expect.stringContaining('warn'),
      `drop ${TOP}`,
      `drop ${OTHER}`,
      'join',
      `adopt ${OTHER}`,
    ]);
    expect(await nodes.placement.locate(NEW)).toBe('nowhere');
  });

  it('L5 takes over the credentials of a node that it buries', async () => {
    const { nodes, time, did, state } = world();
    await nodes.join();
    nodes.serve('http://a');
    state.lost = ['nb'];
    await time.advance(CARE_MS);
    expect(did).toContain('take over nb');
  });

  it('says which of a family are another’s by now, or nobody’s, and of no other family', async () => {
    const { nodes, state } = world();
    for (const task of [TOP, CHILD, OTHER]) nodes.ledger.add(task, 1);
    state.places.set(TOP, place('nb'));
    expect(await nodes.moved(CHILD)).toEqual([TOP, CHILD]);
    state.places.set(CHILD, place('na'));
    expect(await nodes.moved(CHILD)).toEqual([TOP]);
  });

  it('what changes of a task is kept in the background, and of one that is not its own nothing', async () => {
    const { nodes, did, calls, state, time } = world();
    nodes.keepLater(TOP);
    await time.settle();
    expect(did).toEqual([]);
    nodes.ledger.add(TOP, 1);
    // So slow that nothing is counted ahead.
    await time.advance(60_000);
    calls.set(TOP, 3);
    nodes.keepLater(TOP);
    await time.settle();
    expect(did).toEqual([`keep ${TOP} 3`]);
    state.keepFault = new Error('no store');
    calls.set(TOP, 4);
    nodes.keepLater(TOP);
    await time.settle();
    expect(did.at(-1)).toContain('warn what a task has read is not where other nodes find it');
  });

  it('hears notices from when it has joined', async () => {
    const { nodes, heard, hear } = world();
    await nodes.join();
    hear('revocation');
    expect(heard).toEqual(['revocation']);
  });
});

describe('a stop', () => {
  it('tells the others first that nothing may be brought, waits until they have heard, and takes nothing over', async () => {
    const { nodes, did, state, time } = world();
    await nodes.join();
    nodes.serve('http://a');
    await time.advance(BEAT_MS);
    expect(did.at(-1)).toBe('renew http://a');
    state.others = ['nb'];
    did.length = 0;
    let isRetired = false;
    const retiring = nodes.retire().then(() => {
      isRetired = true;
    });
    await time.settle();
    expect(did).toEqual(['renew ']);
    state.lost = ['nc'];
    await time.advance(PLACE_MS - 1);
    expect(isRetired).toBe(false);
    await time.advance(1);
    await retiring;
    await time.advance(CARE_MS);
    expect(did).not.toContain('take over nc');
  });

  it('one that is alone waits for nobody', async () => {
    const { nodes, time } = world();
    await nodes.join();
    nodes.serve('http://a');
    await nodes.retire();
    expect(time.clock()).toBe(createFakeTime().clock());
  });

  it('gives back the calls that were counted ahead before its tasks are anybody’s', async () => {
    const { nodes, did, calls, time } = world();
    await nodes.join();
    nodes.ledger.add(TOP, 1);
    calls.set(TOP, 1);
    expect(await nodes.ledger.keep(TOP)).toBe(true);
    expect(did.at(-1)).toBe(`keep ${TOP} 41`);
    did.length = 0;
    await nodes.leave();
    expect(did).toEqual(['deaf', `keep ${TOP} 1`, 'leave']);
    expect(nodes.isMember()).toBe(false);
    await time.advance(10 * BEAT_MS);
    expect(did.at(-1)).toBe('leave');
  });

  it('leaves all the same where they cannot be given back', async () => {
    const { nodes, did, calls, state } = world();
    await nodes.join();
    nodes.ledger.add(TOP, 1);
    calls.set(TOP, 1);
    await nodes.ledger.keep(TOP);
    state.keepFault = new Error('no store');
    await nodes.leave();
    expect(did.at(-1)).toBe('leave');
  });
});
