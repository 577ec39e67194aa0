import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { type TaskId, taskId, tenantId } from '../../src/domain/ids.ts';
import type { TaskMemory } from '../../src/domain/node.ts';
import { createTaskLedger } from '../../src/nodes/task-ledger.ts';

const [TOP, CHILD, ALONE] = [taskId('tsk_top'), taskId('tsk_child'), taskId('tsk_alone')];
const TASKS = [TOP, CHILD, ALONE];
const FAMILIES = [[TOP, CHILD], [ALONE]];
const BUDGET = 400;

const chainOf = (task: TaskId): TaskId[] => (task === CHILD ? [CHILD, TOP] : [task]);

/**
 * What happens, in any order: calls, what changes their memory, time, looks, statements that are carried out, answered, or lost before or after; and
 * families that another node makes calls of for a while, and that come back.
 */
const step = fc.oneof(
  { weight: 24, arbitrary: fc.record({ call: fc.constantFrom(...TASKS), after: fc.constantFrom(0, 0, 1, 1, 80) }) },
  { weight: 2, arbitrary: fc.record({ prompt: fc.constantFrom(...TASKS) }) },
  { weight: 1, arbitrary: fc.constant('look' as const) },
  { weight: 1, arbitrary: fc.record({ away: fc.constantFrom(...FAMILIES), calls: fc.constantFrom(0, 1, 5) }) },
  { weight: 9, arbitrary: fc.constantFrom('carry out', 'answer', 'answer', 'answer', 'lose before', 'lose after') },
  { weight: 6, arbitrary: fc.constant('pass' as const) },
);

const settled = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

function world() {
  const nothing: TaskMemory = { calls: 0, prompt: '0' };
  const memories = new Map<TaskId, TaskMemory>(TASKS.map((task) => [task, nothing]));
  /** What a successor would find. */
  const stored = new Map(TASKS.map((task) => [task, { fence: 1, memory: nothing }]));
  const fences = new Map(TASKS.map((task) => [task, 1]));
  /** Calls that went on, at whichever node. */
  const made = new Map<TaskId, number>(TASKS.map((task) => [task, 0]));
  const of = <T>(map: ReadonlyMap<TaskId, T>, task: TaskId): T => map.get(task) as T;
  let now = 0;
  let prompts = 0;
  let timers: (() => void)[] = [];
  let pending: { carryOut(): void; answer(): void; fail(): void } | undefined;
  const left = (task: TaskId): number => Math.min(...chainOf(task).map((one) => BUDGET - of(memories, one).calls));
  const ledger = createTaskLedger({
    tenant: tenantId('acme'),
    owner: 'na',
    repository: {
      keep: (_tenant, _owner, rows) =>
        new Promise((resolve, reject) => {
          let kept: Set<TaskId> | undefined;
          const carryOut = (): Set<TaskId> => {
            const mine = rows.filter(({ task, fence }) => of(stored, task).fence === fence);
            for (const { task, fence, memory } of mine) stored.set(task, { fence, memory });
            return new Set(mine.map(({ task }) => task));
          };
          pending = {
            carryOut() {
              kept ??= carryOut();
            },
            answer: () => resolve(kept as Set<TaskId>),
            fail: () => reject(new Error('lost')),
          };
        }),
    },
    memoryOf: (task) => of(memories, task),
    chainOf,
    callsLeft: left,
    nextTurn: (resume) => void setImmediate(resume),
    monotonic: () => now,
    schedule(_ms, task) {
      timers.push(task);
      return () => {
        timers = timers.filter((one) => one !== task);
      };
    },
  });
  for (const task of TASKS) ledger.add(task, 1);

  function goOn(chain: readonly TaskId[], said: readonly (string | undefined)[]): void {
    chain.forEach((one, index) => {
      made.set(one, of(made, one) + 1);
      const { calls, prompt } = of(stored, one).memory;
      expect(calls).toBeGreaterThanOrEqual(of(made, one));
      expect(calls).toBeLessThanOrEqual(BUDGET);
      // One that came since may be there already.
      expect(Number(prompt)).toBeGreaterThanOrEqual(Number(said[index]));
    });
  }

  return {
    made,
    stored,
    ledger,
    call(task: TaskId, after: number): void {
      now += after;
      if (left(task) <= 0) return;
      const chain = chainOf(task);
      for (const one of chain) memories.set(one, { ...of(memories, one), calls: of(memories, one).calls + 1 });
      const said = chain.map((one) => of(memories, one).prompt);
      const keeping = ledger.keep(task);
      if (keeping === true) goOn(chain, said);
      else
        void keeping.then(
          (isKept) => {
            if (isKept) goOn(chain, said);
          },
          () => {},
        );
    },
    prompt(task: TaskId): void {
      prompts += 1;
      memories.set(task, { ...of(memories, task), prompt: String(prompts) });
    },
    away(family: readonly TaskId[], calls: number): void {
      for (const task of family) ledger.remove(task);
      for (const task of family) {
        const fence = of(fences, task) + 2;
        const { memory } = of(stored, task);
        const more = Math.min(calls, BUDGET - memory.calls);
        const claimed = { ...memory, calls: memory.calls + more, ahead: undefined };
        made.set(task, of(made, task) + more);
        fences.set(task, fence);
        stored.set(task, { fence, memory: claimed });
        memories.set(task, claimed);
        ledger.add(task, fence);
      }
    },
    look(): void {
      now += 1_000;
      const due = timers;
      timers = [];
      for (const timer of due) timer();
    },
    end(how: 'carry out' | 'answer' | 'lose before' | 'lose after'): void {
      const statement = pending;
      if (how !== 'lose before') statement?.carryOut();
      if (how === 'carry out') return;
      pending = undefined;
      if (how === 'answer') statement?.answer();
      else statement?.fail();
    },
    isWriting: () => pending !== undefined,
    timers: () => timers,
    calls: (task: TaskId) => of(memories, task).calls,
  };
}

describe('calls that are counted ahead, whatever comes in between', () => {
  it('no call goes on that the store does not count, nor with a prompt that it does not have; and at the stop it has the exact number', async () => {
    let goneOn = 0;
    await fc.assert(
      fc.asyncProperty(fc.array(step, { minLength: 100, maxLength: 200, size: 'max' }), async (steps) => {
        const node = world();
        for (const one of steps) {
          if (typeof one === 'string') {
            if (one === 'look') node.look();
            else if (one !== 'pass') node.end(one);
          } else if ('call' in one) node.call(one.call, one.after);
          else if ('prompt' in one) node.prompt(one.prompt);
          else node.away(one.away, one.calls);
          if (one === 'pass' || one === 'answer') await settled();
        }
        const finish = async (): Promise<void> => {
          for (let quiet = 0; quiet < 20; quiet += 1) {
            await settled();
            if (!node.isWriting()) continue;
            node.end('answer');
            quiet = 0;
          }
        };
        const settling = node.ledger.settle();
        await finish();
        await settling;
        for (const task of TASKS) expect(node.stored.get(task)?.memory.calls).toBeLessThanOrEqual(node.calls(task));
        expect(node.timers()).toEqual([]);
        goneOn += [...node.made.values()].reduce((sum, calls) => sum + calls, 0);
      }),
      { numRuns: 200 },
    );
    expect(goneOn).toBeGreaterThan(5_000);
  });
});
