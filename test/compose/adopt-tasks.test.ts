import { describe, expect, it } from 'vitest';
import { createAdoption } from '../../src/compose/nodes/adopt-tasks.ts';
import type { RememberedFlow } from '../../src/domain/flow.ts';
import { agentId, taskId, tenantId } from '../../src/domain/ids.ts';
import type { OwnedTask, TaskMemory } from '../../src/domain/node.ts';
import type { Score } from '../../src/domain/risk.ts';
import type { Task } from '../../src/domain/task.ts';
import { createTaskLedger } from '../../src/nodes/task-ledger.ts';
import { makeTask } from '../support/fake-gateway-parts.ts';

const TENANT = tenantId('acme');
const TASK = taskId('tsk_one');
const task = { ...makeTask(TASK, 'scribe'), tenant: TENANT };
const NOW = 1_700_000_000_000;
interface Known {
  readonly calls: number;
  readonly from?: number;
  readonly prompt?: string;
  readonly flow?: RememberedFlow;
  readonly hasEnded?: boolean;
}
const flowOf = (dataClass: string, outward: number): RememberedFlow => ({
  labels: { trust: 'untrusted', dataClasses: [dataClass], zones: [] },
  outward,
});
const owned = (fence: number): OwnedTask => ({ task: TASK, fence, memory: { calls: 1 } });

/** What takes its time takes it until it is let go on. */
function world() {
  const waiting: (() => void)[] = [];
  const wait = (): Promise<void> => new Promise((resolve) => void waiting.push(resolve));
  const registry = new Set<string>();
  const keys = new Set<string>();
  const records: string[] = [];
  const details: object[] = [];
  /** Run as soon as a task is served. */
  const admitted: (() => void)[] = [];
  const kept: number[] = [];
  const used: number[] = [];
  /** What was gone on with of a task, and who was told that it is gone. */
  const restored: [string, unknown][] = [];
  const forgotten: string[] = [];
  const ended: [string, string][] = [];
  const store = { row: task as Task | undefined, recordFault: undefined as Error | undefined };
  const ledger = createTaskLedger({
    tenant: TENANT,
    owner: 'na',
    repository: {
      async keep(_tenant, _owner, rows) {
        kept.push(...rows.map(({ fence }) => fence));
        return new Set(rows.map((row) => row.task));
      },
    },
    memoryOf: () => ({ calls: 1 }),
    chainOf: (id) => [id],
    callsLeft: () => 100,
    nextTurn: (resume) => void setImmediate(resume),
    monotonic: () => 0,
    schedule: () => () => {},
  });
  const passed = { ms: 0 };
  const parts = {
    workspace: {
      node: 'na',
      store: {
        tasks: {
          async get() {
            await wait();
            return store.row;
          },
        },
      },
      estate: { tenant: TENANT, agents: new Map([['scribe', {}]]) },
      config: { risk: { halfLifeMinutes: 60 } },
      system: { clock: () => NOW, monotonic: () => passed.ms },
    },
    state: { tasks: new Map<string, Known>(), risks: new Map<string, Score>(), upTo: 7 },
    tasks: {
      async load({ tasks, onAdmitted }: { tasks: Task[]; onAdmitted: (task: Task) => void }) {
        for (const one of tasks) {
          if (registry.has(one.id)) continue;
          registry.add(one.id);
          onAdmitted(one);
          admitted.shift()?.();
        }
      },
      restoreUsed: (_id: string, calls: number) => void used.push(calls),
      drop: (id: string) => void registry.delete(id),
      end: async (id: string, reason: string) => void ended.push([id, reason]),
    },
    leases: {
      dropTask(id: string, reason: string) {
        forgotten.push(`leases ${id} ${reason}`);
        return wait();
      },
    },
    taskKeys: { load: async (id: string) => void keys.add(id), forget: (id: string) => void keys.delete(id) },
    prompts: {
      restore: (_id: string, digest: string) => void restored.push(['prompt', digest]),
      forget: (id: string) => void forgotten.push(`prompt ${id}`),
    },
    flow: {
      restore: (_task: Task, said: unknown) => void restored.push(['flow', said]),
      forget: (id: string) => void forgotten.push(`flow ${id}`),
    },
    risk: { restore: ({ risks }: { risks: Map<string, Score> }) => void restored.push(['risk', [...risks]]) },
    usages: {
      of: () => ({ read: 5 }),
      restore: (_task: Task, usage: unknown) => void restored.push(['usage', usage]),
      forget: (id: string) => void forgotten.push(`usage ${id}`),
    },
    recorder: {
      async record({ type, detail }: { type: string; detail: object }) {
        records.push(type);
        details.push(detail);
        if (store.recordFault !== undefined) throw store.recordFault;
      },
    },
    ledger: () => ledger,
    forgetDeviations: (id: string) => void forgotten.push(`deviations ${id}`),
  };
  const adoption = createAdoption(parts as never);
  return {
    adoption,
    passed,
    state: parts.state,
    waiting,
    registry,
    keys,
    records,
    details,
    admitted,
    kept,
    used,
    ledger,
    restored,
    forgotten,
    ended,
    store,
    /** Goes on with it, as it was left. */
    async adopt(memory: Partial<TaskMemory> = {}): Promise<void> {
      const adopting = adoption.adopt([{ task: TASK, fence: 2, memory: { calls: 1, ...memory } }]);
      waiting.shift()?.();
      await adopting;
    },
  };
}

describe('tasks that come to this node, and go', () => {
  it.each([
    ['the older', [0, 1]],
    ['the newer', [1, 0]],
  ])(
    'of two claims of one task that are gone on with at once the newer fence counts, where %s is done first',
    async (_which, order) => {
      const { adoption, waiting, records, kept, ledger } = world();
      const both = [adoption.adopt([owned(2)]), adoption.adopt([owned(3)])];
      for (const index of order) {
        waiting[index as number]?.();
        await both[index as number];
      }
      expect(await ledger.keep(TASK)).toBe(true);
      expect(kept).toEqual([3]);
      // It came once.
      expect(records).toEqual(['task_adopted']);
    },
  );

  it('what comes back while it is still being let go of keeps its keys', async () => {
    const { adoption, waiting, registry, keys, ledger } = world();
    const first = adoption.adopt([owned(2)]);
    waiting.shift()?.();
    await first;
    const going = adoption.drop(TASK);
    expect([ledger.has(TASK), registry.has(TASK)]).toEqual([false, false]);
    const back = adoption.adopt([owned(3)]);
    waiting[1]?.();
    await back;
    waiting[0]?.();
    await going;
    expect([ledger.has(TASK), registry.has(TASK), keys.has(TASK)]).toEqual([true, true, true]);
    const gone = adoption.drop(TASK);
    waiting[2]?.();
    await gone;
    expect(keys.has(TASK)).toBe(false);
  });

  it.each([
    ['its own, and its journal has them', 'na', 25, 25],
    ['its own, and its journal does not know all that was told', 'na', 3, 60],
    ['its own, and its journal does not have the task', 'na', undefined, 60],
    ['another’s', 'nb', 25, 60],
  ])(
    'calls that were counted ahead, %s: none is made twice, and none is lost that need not be',
    async (_whose, by, journal, left) => {
      const { adoption, state, waiting, used } = world();
      if (journal !== undefined) state.tasks.set(TASK, { calls: journal });
      const adopting = adoption.adopt([{ task: TASK, fence: 2, memory: { calls: 60, ahead: { calls: 40, by } } }]);
      waiting.shift()?.();
      await adopting;
      expect(used).toEqual([left]);
    },
  );

  it('that it came, and with how many calls, is on the trail ahead of every decision', async () => {
    const { adoption, details, admitted, waiting } = world();
    admitted.push(() => expect(details).toMatchObject([{ used: 60, from: 'nb' }]));
    const adopting = adoption.adopt([{ task: TASK, fence: 2, from: 'nb', memory: { calls: 60 } }]);
    waiting.shift()?.();
    await adopting;
    expect(details).toHaveLength(1);
    expect(admitted).toEqual([]);
  });

  it('F8 what its calls left behind is gone on with, and is what it leaves behind itself', async () => {
    const { adopt, adoption, restored, details, state } = world();
    const left = { calls: 9, prompt: 'sha256:1', flow: flowOf('personal', 2), usage: { read: 5 } };
    const risk = { score: 30, at: NOW };
    await adopt({ ...left, risk });
    expect(Object.fromEntries(restored)).toEqual({
      prompt: 'sha256:1',
      flow: left.flow,
      usage: left.usage,
      risk: [[`task ${TASK}`, risk]],
    });
    expect(adoption.memoryOf(TASK)).toEqual({ ...left, risk });
    expect(details).toMatchObject([{ used: 9, flow: left.flow }]);
    expect(state.tasks.get(TASK), 'its records begin with the next').toMatchObject({ from: 7 });
  });

  it('F8 what this node’s own journal knows of it counts as well, where that is worse', async () => {
    const { adopt, adoption, restored, state } = world();
    state.tasks.set(TASK, { calls: 4, from: 3, prompt: 'sha256:0', flow: flowOf('financial', 5) });
    await adopt({ calls: 2, flow: flowOf('personal', 2) });
    const flow = { labels: { trust: 'untrusted', dataClasses: ['financial', 'personal'], zones: [] }, outward: 5 };
    expect(Object.fromEntries(restored)).toMatchObject({ prompt: 'sha256:0', flow });
    expect(adoption.memoryOf(TASK)).toMatchObject({ calls: 4, prompt: 'sha256:0', flow });
    expect(state.tasks.get(TASK)).toMatchObject({ from: 3 });
    const another = world();
    another.state.tasks.set(TASK, { calls: 4, flow: flowOf('financial', 5) });
    await another.adopt();
    expect(another.adoption.memoryOf(TASK).flow, 'the store knows of none').toEqual(flowOf('financial', 5));
  });

  it.each([
    ['more', { score: 60, at: NOW - 60_000 }, 60],
    ['less', { score: 20, at: NOW }, 30],
    ['nothing', undefined, 30],
  ])(
    'F8 a denial moves a risk and no call of it is kept: where the journal says %s, the worse counts',
    async (_, own, score) => {
      const { adopt, adoption, restored, state } = world();
      if (own !== undefined) state.risks.set(`task ${TASK}`, own);
      await adopt({ risk: { score: 30, at: NOW } });
      expect(adoption.memoryOf(TASK).risk).toMatchObject({ score });
      expect(Object.fromEntries(restored).risk).toMatchObject([[`task ${TASK}`, { score }]]);
    },
  );

  it('one that was let go of has moved, not ended, for whoever came for it before; and not when it is back, or later', async () => {
    const { adopt, adoption, waiting, passed } = world();
    expect(adoption.hasMoved(TASK)).toBe(false);
    await adopt({});
    const drop = async (): Promise<void> => {
      const dropping = adoption.drop(TASK);
      waiting.shift()?.();
      await dropping;
    };
    await drop();
    expect(adoption.hasMoved(TASK)).toBe(true);
    await adopt({});
    expect(adoption.hasMoved(TASK)).toBe(false);
    await drop();
    passed.ms += 60_000;
    expect(adoption.hasMoved(TASK)).toBe(false);
  });

  it('nothing stays of one that another node goes on with', async () => {
    const { adopt, adoption, forgotten, ledger, registry, state, waiting, keys } = world();
    await adopt({ flow: flowOf('personal', 2) });
    const dropping = adoption.drop(TASK);
    expect([ledger.has(TASK), registry.has(TASK), state.tasks.has(TASK)]).toEqual([false, false, false]);
    waiting.shift()?.();
    await dropping;
    expect(forgotten.sort()).toEqual([
      `deviations ${TASK}`,
      `flow ${TASK}`,
      `leases ${TASK} task_moved`,
      `prompt ${TASK}`,
      `usage ${TASK}`,
    ]);
    expect(keys.has(TASK)).toBe(false);
  });

  it.each([
    ['its journal has ended', 'revoked', (known: Map<string, Known>) => known.set(TASK, { calls: 1, hasEnded: true })],
    ['is of an agent that is not registered', 'agent_disabled', undefined],
  ] as const)('D1 one that %s is ended, and not on the trail as gone on with', async (_, reason, know) => {
    const { adopt, ended, records, state, store } = world();
    if (know === undefined) store.row = { ...task, agent: agentId('nobody') };
    else know(state.tasks);
    await adopt();
    expect(ended).toEqual([[TASK, reason]]);
    expect(records).toEqual([]);
  });

  it.each([
    ['has ended', { ...task, state: 'ended' } as const],
    ['is gone', undefined],
  ])('one that %s by the store is not gone on with', async (_, row) => {
    const { adopt, ledger, registry, store } = world();
    store.row = row;
    await adopt();
    expect([ledger.has(TASK), registry.has(TASK)]).toEqual([false, false]);
  });

  it('A1 it is not gone on with where that cannot be put on the trail: whoever asked tries again', async () => {
    const { adopt, store } = world();
    store.recordFault = new Error('the disk is full');
    await expect(adopt()).rejects.toThrow('the disk is full');
  });

  it('one that is served here already has the fence of the newer claim, and comes once', async () => {
    const { adopt, adoption, ledger, kept, records } = world();
    await adopt();
    await adoption.adopt([owned(5)]);
    await ledger.keep(TASK);
    expect(kept).toEqual([5]);
    expect(records).toEqual(['task_adopted']);
  });
});
