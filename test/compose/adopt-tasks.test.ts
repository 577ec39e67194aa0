import { describe, expect, it } from 'vitest';
import { createAdoption } from '../../src/compose/nodes/adopt-tasks.ts';
import { taskId, tenantId } from '../../src/domain/ids.ts';
import type { OwnedTask } from '../../src/domain/node.ts';
import type { Task } from '../../src/domain/task.ts';
import { createTaskLedger } from '../../src/nodes/task-ledger.ts';
import { makeTask } from '../support/fake-gateway-parts.ts';

const TENANT = tenantId('acme');
const TASK = taskId('tsk_one');
const task = { ...makeTask(TASK, 'scribe'), tenant: TENANT };
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
  const parts = {
    workspace: {
      node: 'na',
      store: {
        tasks: {
          async get() {
            await wait();
            return task;
          },
        },
      },
      estate: { tenant: TENANT, agents: new Map([['scribe', {}]]) },
    },
    state: { tasks: new Map<string, { calls: number }>(), risks: new Map(), upTo: 0 },
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
    },
    leases: { dropTask: wait },
    taskKeys: { load: async (id: string) => void keys.add(id), forget: (id: string) => void keys.delete(id) },
    prompts: undefined,
    flow: { restore() {}, forget() {} },
    risk: { restore() {} },
    usages: { of: () => undefined, restore() {}, forget() {} },
    recorder: {
      async record({ type, detail }: { type: string; detail: object }) {
        records.push(type);
        details.push(detail);
      },
    },
    ledger: () => ledger,
    forgetDeviations() {},
  };
  return {
    adoption: createAdoption(parts as never),
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
});
