import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { type TaskId, taskId, tenantId } from '../../src/domain/ids.ts';
import type { TaskMemory } from '../../src/domain/node.ts';
import { createTaskLedger } from '../../src/nodes/task-ledger.ts';

const TASKS = [taskId('tsk_a'), taskId('tsk_b')];
const BUDGET = 400;

/** What happens, in any order: calls, what changes their memory, time, looks, and statements that are carried out, answered, or lost before or after. */
const step = fc.oneof(
  { weight: 16, arbitrary: fc.record({ call: fc.constantFrom(...TASKS), after: fc.constantFrom(0, 0, 1, 1, 80) }) },
  { weight: 1, arbitrary: fc.record({ prompt: fc.constantFrom(...TASKS) }) },
  { weight: 1, arbitrary: fc.constant('look' as const) },
  { weight: 6, arbitrary: fc.constantFrom('carry out', 'answer', 'answer', 'answer', 'lose before', 'lose after') },
  { weight: 4, arbitrary: fc.constant('pass' as const) },
);

const settled = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

describe('calls that are counted ahead, whatever comes in between', () => {
  it('no call goes on that the store does not count, nor with a prompt that it does not have', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(step, { minLength: 100, maxLength: 200, size: 'max' }), async (steps) => {
        const memories = new Map<TaskId, TaskMemory>(TASKS.map((task) => [task, { calls: 0, prompt: 'none' }]));
        /** What a successor would find. */
        const stored = new Map<TaskId, TaskMemory>(memories);
        const memory = (task: TaskId): TaskMemory => memories.get(task) as TaskMemory;
        let now = 0;
        let timers: (() => void)[] = [];
        let pending: { carryOut(): void; answer(): void; fail(): void } | undefined;
        const ledger = createTaskLedger({
          tenant: tenantId('acme'),
          owner: 'na',
          repository: {
            keep: (_tenant, _owner, rows) =>
              new Promise((resolve, reject) => {
                pending = {
                  carryOut() {
                    for (const { task, memory: written } of rows) stored.set(task, written);
                  },
                  answer: () => resolve(new Set(rows.map(({ task }) => task))),
                  fail: () => reject(new Error('lost')),
                };
              }),
          },
          memoryOf: memory,
          chainOf: (task) => [task],
          callsLeft: (task) => BUDGET - memory(task).calls,
          nextTurn: (resume) => void setImmediate(resume),
          monotonic: () => now,
          schedule(_ms, task) {
            timers.push(task);
            return () => {};
          },
        });
        for (const task of TASKS) ledger.add(task, 1);
        let goneOn = 0;
        const goOn = (task: TaskId, { calls, prompt }: TaskMemory): void => {
          goneOn += 1;
          expect(stored.get(task)?.calls).toBeGreaterThanOrEqual(calls);
          expect(stored.get(task)?.calls).toBeLessThanOrEqual(BUDGET);
          // One that came since may be there already.
          expect(Number(stored.get(task)?.prompt?.replace('none', '0'))).toBeGreaterThanOrEqual(
            Number(prompt?.replace('none', '0')),
          );
        };
        let prompts = 0;
        for (const one of steps) {
          if (typeof one === 'object' && 'call' in one) {
            now += one.after;
            const before = memory(one.call);
            if (before.calls >= BUDGET) continue;
            const mine = { ...before, calls: before.calls + 1 };
            memories.set(one.call, mine);
            const keeping = ledger.keep(one.call);
            if (keeping === true) goOn(one.call, mine);
            else
              void keeping.then(
                (isKept) => {
                  if (isKept) goOn(one.call, mine);
                },
                () => {},
              );
          } else if (typeof one === 'object') {
            prompts += 1;
            memories.set(one.prompt, { ...memory(one.prompt), prompt: String(prompts) });
          } else if (one === 'look') {
            now += 1_000;
            const due = timers;
            timers = [];
            for (const timer of due) timer();
          } else if (one !== 'pass' && pending !== undefined) {
            if (one !== 'lose before') pending.carryOut();
            if (one === 'answer') pending.answer();
            else if (one !== 'carry out') pending.fail();
            if (one !== 'carry out') pending = undefined;
          }
          if (one === 'pass' || one === 'answer') await settled();
        }
        return goneOn >= 0;
      }),
      { numRuns: 300 },
    );
  });
});
