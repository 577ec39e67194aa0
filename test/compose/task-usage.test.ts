import { describe, expect, it } from 'vitest';
import { createTaskUsages } from '../../src/compose/nodes/task-usage.ts';
import { type TaskId, taskId } from '../../src/domain/ids.ts';
import type { TaskUsage } from '../../src/domain/node.ts';
import { makeTask } from '../support/fake-gateway-parts.ts';

const [TOP, CHILD] = [makeTask('tsk_top'), { ...makeTask('tsk_child'), parent: taskId('tsk_top') }];
const BOUNDS = { callsPerMinute: 2 };

/** Two that count, each its own. */
function world() {
  const did: unknown[] = [];
  const said = { family: undefined as TaskUsage | undefined, own: undefined as TaskUsage | undefined };
  const usages = createTaskUsages(
    {
      usageOf: () => said.family,
      restore: (...given: readonly unknown[]) => did.push(['family', ...given]),
      forgetTask: (id: TaskId) => did.push(['family forgets', id]),
    } as never,
    {
      usageOf: () => said.own,
      restore: (...given: readonly unknown[]) => did.push(['own', ...given]),
      forgetTask: (id: TaskId) => did.push(['own forgets', id]),
    } as never,
    () => BOUNDS as never,
  );
  return { usages, did, said };
}

describe('what has been counted of a task', () => {
  it('I3 is what both have counted, and nothing where neither has', () => {
    const { usages, said } = world();
    expect(usages.of(TOP.id)).toBeUndefined();
    said.own = { paces: { crm: [1, 2] } };
    expect(usages.of(TOP.id)).toEqual(said.own);
    said.family = { read: 7, paces: { 'shop/get': [3, 4] } };
    expect(usages.of(TOP.id)).toEqual({ read: 7, paces: { 'shop/get': [3, 4], crm: [1, 2] } });
    said.own = undefined;
    expect(usages.of(TOP.id)).toEqual(said.family);
  });

  it('I3 is gone on with by both: of a family at its top, and of each task its own', () => {
    const { usages, did } = world();
    const usage = { read: 7 };
    usages.restore(TOP, usage);
    usages.restore(CHILD, usage);
    expect(did).toEqual([
      ['family', TOP.id, usage, BOUNDS],
      ['own', TOP.id, usage],
      ['own', CHILD.id, usage],
    ]);
    usages.restore(TOP, undefined);
    expect(did).toHaveLength(3);
  });

  it('is forgotten by both with the task', () => {
    const { usages, did } = world();
    usages.forget(TOP.id);
    expect(did).toEqual([
      ['family forgets', TOP.id],
      ['own forgets', TOP.id],
    ]);
  });
});
