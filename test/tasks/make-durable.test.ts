import { describe, expect, it } from 'vitest';
import { tenantId } from '../../src/domain/ids.ts';
import type { Task } from '../../src/domain/task.ts';
import { type MakeDurableParts, makeDurable } from '../../src/tasks/make-durable.ts';
import { makeTask } from '../support/fake-gateway-parts.ts';

const task = makeTask('tsk_one');

/** What is done on the way, in order; revocations are read on meanwhile. */
function world(over: Partial<MakeDurableParts> = {}) {
  const did: string[] = [];
  let position = 4;
  const note = (what: string) => async (of: Task) => void did.push(`${what} ${of.id}`);
  const parts = {
    tenant: tenantId('acme'),
    repository: {
      insert: async ({ id }: Task, at?: number) => void did.push(`row ${id} at ${at}`),
      async insertWithin(most: number, { id }: Task, at?: number) {
        did.push(`row ${id} at ${at}, of ${most}`);
        return most > 1;
      },
      async end() {
        did.push('row ended');
        return true;
      },
    },
    clock: () => 1,
    log: { debug() {}, info() {}, warn() {}, error() {} },
    async onStarting({ id }: Task) {
      did.push(`place ${id}`);
      position += 1;
    },
    onStarted: note('record'),
    onRefused: note('taken back'),
    most: 2,
    logPosition: () => position,
    ...over,
  } as unknown as MakeDurableParts;
  return { did, make: () => makeDurable(parts, task) };
}

describe('a task that is made durable', () => {
  it.each([
    ['alone', false, ''],
    ['among several nodes', true, ', of 2'],
  ])(
    '%s has its place, its row with how far revocations were read when it is written, and then its record',
    async (_, isShared, bound) => {
      const { did, make } = world({ isShared });
      expect(await make()).toBe(true);
      expect(did).toEqual(['place tsk_one', `row tsk_one at 5${bound}`, 'record tsk_one']);
    },
  );

  it('I3 one too many of its agent is taken back and has no record', async () => {
    const { did, make } = world({ isShared: true, most: 1 });
    expect(await make()).toBe(false);
    expect(did.slice(2)).toEqual(['taken back tsk_one']);
  });

  it('A1 one that cannot be put on the trail is ended, and its place is taken back', async () => {
    const { did, make } = world({ onStarted: () => Promise.reject(new Error('the disk is full')) });
    await expect(make()).rejects.toThrow('the disk is full');
    expect(did.slice(2)).toEqual(['row ended', 'taken back tsk_one']);
  });

  it('one that could not be placed has left nothing', async () => {
    const { did, make } = world({ onStarting: () => Promise.reject(new Error('no store')) });
    await expect(make()).rejects.toThrow('no store');
    expect(did).toEqual([]);
  });
});
