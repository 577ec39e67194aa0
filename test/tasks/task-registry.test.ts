import { describe, expect, it } from 'vitest';
import { RemitError } from '../../src/domain/errors.ts';
import { agentId, type TaskId, taskId, templateId, tenantId, traceId } from '../../src/domain/ids.ts';
import type { Task, TaskTemplate } from '../../src/domain/task.ts';
import { createTaskRegistry } from '../../src/tasks/create-task-registry.ts';
import { isTaskRefusal } from '../../src/tasks/task-refusal.ts';
import type { TaskRegistryOptions } from '../../src/tasks/task-registry.ts';
import { createMemoryTasks } from '../support/fake-memory-repositories.ts';

const template: TaskTemplate = {
  id: templateId('triage'),
  owner: 'owner@example.com',
  purpose: 'Answer customers',
  agents: [agentId('bot'), agentId('other')],
  bounds: { actionClasses: ['read'], tools: ['crm/*'], resources: [], calls: 3 },
  maxDurationSeconds: 60,
  requiresUser: false,
};

interface Timer {
  readonly at: number;
  readonly task: () => void;
}

function fixture(over: Partial<TaskRegistryOptions> = {}, repository = createMemoryTasks()) {
  const state = { now: 1_000_000, monotonic: 0, byte: 0 };
  const timers = new Set<Timer>();
  const errors: string[] = [];
  const log = {
    debug() {},
    info() {},
    warn() {},
    error: (_fields: object, message: string) => void errors.push(message),
  };
  const registry = createTaskRegistry({
    tenant: tenantId('default'),
    repository,
    templates: () => new Map([[template.id, template]]),
    clock: () => state.now,
    schedule(ms, task) {
      const timer = { at: state.monotonic + ms, task };
      timers.add(timer);
      return () => timers.delete(timer);
    },
    random: (size) => new Uint8Array(size).fill(state.byte++),
    log,
    ...over,
  });
  return {
    registry,
    repository,
    timers,
    errors,
    state,
    async start(agent = 'bot', calls?: number): Promise<Task> {
      const declaration = { template: template.id, ...(calls !== undefined && { calls }) };
      const task = await registry.start({ agent: agentId(agent), user: undefined, declaration });
      if (isTaskRefusal(task)) throw new Error(task.reason);
      return task;
    },
    /** Both clocks go on; due timers fire. */
    async pass(ms: number, wall = ms): Promise<void> {
      state.now += wall;
      state.monotonic += ms;
      for (const timer of [...timers]) {
        if (timer.at > state.monotonic) continue;
        timers.delete(timer);
        timer.task();
      }
      for (let turn = 0; turn < 20; turn += 1) await Promise.resolve();
    },
  };
}

describe('task registry', () => {
  it('starts a task that is durable and recorded before it is returned', async () => {
    const seen: string[] = [];
    const repository = createMemoryTasks();
    const { registry, start } = fixture(
      {
        onStarted: async (task) =>
          void seen.push(`${task.id} ${repository.rows.has(task.id)} ${registry.get(task.id)}`),
      },
      repository,
    );
    const task = await start();
    expect(seen).toEqual([`${task.id} true undefined`]);
    expect(registry.get(task.id)).toEqual(task);
    expect(registry.active()).toEqual([task]);
  });

  it('A1 does not start a task that cannot be recorded or stored', async () => {
    const unrecorded = fixture({
      onStarted: async () => {
        throw new RemitError('ERR_JOURNAL_FULL', 'full');
      },
    });
    await expect(unrecorded.start()).rejects.toMatchObject({ code: 'ERR_JOURNAL_FULL' });
    expect([...unrecorded.repository.rows.values()]).toMatchObject([{ state: 'ended', endReason: 'revoked' }]);
    expect(unrecorded.registry.active()).toEqual([]);

    const repository = createMemoryTasks();
    repository.insert = async () => {
      throw new RemitError('ERR_STORE_FULL', 'full');
    };
    const unstored = fixture({ maxActivePerAgent: 1 }, repository);
    await expect(unstored.start()).rejects.toMatchObject({ code: 'ERR_STORE_FULL' });
    await expect(unstored.start(), 'a failed start counts as none').rejects.toMatchObject({ code: 'ERR_STORE_FULL' });
  });

  it('I3 among several nodes the store counts, and a task that it refuses is none', async () => {
    const repository = createMemoryTasks();
    const refused: string[] = [];
    const shared = { isShared: true, maxActivePerAgent: 2, onRefused: async ({ id }: Task) => void refused.push(id) };
    const [here, there] = [fixture(shared, repository), fixture(shared, repository)];
    there.state.byte = 100;
    const first = await here.start();
    await there.start();
    await expect(here.start()).rejects.toThrow('2 active tasks, the most allowed');
    await expect(there.start()).rejects.toThrow('2 active tasks, the most allowed');
    expect(refused).toHaveLength(2);
    expect(here.registry.active()).toEqual([first]);
    await here.registry.end(first.id, 'completed');
    await there.start();
    expect(repository.rows.size).toBe(3);
  });

  it('D1 among several nodes a row whose commit was not answered is ended, what was made for it goes, and it counts as none', async () => {
    const repository = createMemoryTasks();
    const { insertWithin } = repository;
    const fault = new RemitError('ERR_STORE_UNREACHABLE', 'no answer');
    repository.insertWithin = async (...row) => {
      await insertWithin(...row);
      throw fault;
    };
    const gone: string[] = [];
    const shared = { isShared: true, maxActivePerAgent: 1, onRefused: async ({ id }: Task) => void gone.push(id) };
    const { start, registry, errors } = fixture(shared, repository);
    await expect(start()).rejects.toBe(fault);
    expect([...repository.rows.values()]).toMatchObject([{ state: 'ended', endReason: 'revoked' }]);
    expect(gone).toEqual([...repository.rows.keys()]);
    expect({ live: registry.live(), errors }).toEqual({ live: [], errors: [] });
    repository.insertWithin = insertWithin;
    expect(await start()).toMatchObject({ state: 'active' });
  });

  it('D1 where such a row cannot be ended either, what was made for it stays, so that it is found again', async () => {
    const repository = createMemoryTasks();
    const fault = new RemitError('ERR_STORE_UNREACHABLE', 'no answer');
    repository.insertWithin = repository.end = () => Promise.reject(fault);
    const gone: string[] = [];
    const shared = { isShared: true, onRefused: async ({ id }: Task) => void gone.push(id) };
    const { start, registry, errors } = fixture(shared, repository);
    await expect(start()).rejects.toBe(fault);
    expect({ gone, live: registry.live() }).toEqual({ gone: [], live: [] });
    expect(errors).toEqual([expect.stringContaining('could not be ended')]);
  });

  it('refuses an unknown template and names those of the agent', async () => {
    const { registry } = fixture();
    const declaration = { template: templateId('payroll') };
    const refusal = await registry.start({ agent: agentId('bot'), user: undefined, declaration });
    expect(refusal).toMatchObject({ refused: 'unknown_template', value: 'payroll', allowed: ['triage'] });
    const stranger = await registry.start({ agent: agentId('stranger'), user: undefined, declaration });
    expect(stranger).toMatchObject({ refused: 'unknown_template', allowed: [] });
  });

  it('I3 bounds the active tasks of each agent, also of starts at the same time', async () => {
    const { registry, start } = fixture({ maxActivePerAgent: 2 });
    const declaration = { template: template.id };
    const starts = await Promise.all(
      [1, 2, 3, 4].map(() => registry.start({ agent: agentId('bot'), user: undefined, declaration })),
    );
    expect(starts.filter(isTaskRefusal).map(({ refused }) => refused)).toEqual(['too_many_tasks', 'too_many_tasks']);
    await start('other');
    const [first] = registry.active();
    await registry.end((first as Task).id, 'completed');
    await start();
    await expect(start()).rejects.toThrow(/2 active tasks/);
  });

  it('V2 ends durably first, then tells every listener and waits for them', async () => {
    const { registry, repository, start, errors } = fixture();
    const task = await start();
    const steps: string[] = [];
    registry.onEnd(async (ended, reason) => {
      steps.push(`${repository.rows.get(task.id)?.state} ${ended.state} ${reason}`);
      await Promise.resolve();
      throw new Error('the first listener fails');
    });
    registry.onEnd(async () => {
      await Promise.resolve();
      steps.push('second');
    });
    const both = [registry.end(task.id, 'revoked'), registry.end(task.id, 'completed')];
    expect(registry.get(task.id), 'refused while it is being ended').toBeUndefined();
    expect(registry.takeCall(task.id)).toMatchObject({ refused: 'ended' });
    expect(await Promise.all(both)).toEqual([true, true]);
    expect(steps).toEqual(['ended ended revoked', 'second']);
    expect(errors).toHaveLength(1);
    expect(await registry.end(task.id, 'completed')).toBe(false);
    expect(await registry.end('tsk_none' as TaskId, 'completed')).toBe(false);
    expect(steps).toHaveLength(2);
    expect(repository.rows.get(task.id)).toMatchObject({ endReason: 'revoked', endedAt: 1_000_000 });
  });

  it('V1 does not acknowledge an end that is not durable, serves no call meanwhile, and tries again', async () => {
    const repository = createMemoryTasks();
    const end = repository.end;
    let failures = 2;
    repository.end = async (...all) => {
      if (failures-- > 0) throw new RemitError('ERR_STORE_LOCKED', 'locked');
      return end(...all);
    };
    const { registry, start, pass } = fixture({}, repository);
    const task = await start();
    const ended: string[] = [];
    registry.onEnd(({ id }) => void ended.push(id));
    await expect(registry.end(task.id, 'revoked')).rejects.toMatchObject({ code: 'ERR_STORE_LOCKED' });
    expect(registry.get(task.id)).toBeUndefined();
    expect(ended).toEqual([]);
    await pass(1_000);
    expect(ended).toEqual([]);
    await pass(2_000);
    expect(ended).toEqual([task.id]);
    expect(repository.rows.get(task.id)).toMatchObject({ state: 'ended', endReason: 'revoked' });
  });

  it('ends every task at its expiry though no call comes, and whatever the wall clock does', async () => {
    const onTime = fixture();
    const task = await onTime.start();
    await onTime.pass(59_999);
    expect(onTime.registry.get(task.id)).toBeDefined();
    await onTime.pass(1);
    expect(onTime.repository.rows.get(task.id)).toMatchObject({ state: 'ended', endReason: 'expired' });

    const setBack = fixture();
    const prolonged = await setBack.start();
    await setBack.pass(60_000, -7_200_000);
    expect(setBack.repository.rows.get(prolonged.id)).toMatchObject({ endReason: 'expired' });

    const setForward = fixture();
    const cut = await setForward.start();
    setForward.state.now += 3_600_000;
    expect(setForward.registry.get(cut.id)).toBeUndefined();
    await setForward.pass(0);
    expect(setForward.repository.rows.get(cut.id)).toMatchObject({ endReason: 'expired' });
  });

  it('charges the call budget to the last call, and recovers what was used', async () => {
    const { registry, start } = fixture();
    const task = await start();
    expect(registry.takeCall(task.id)).toEqual({ callsLeft: 2 });
    registry.restoreUsed(task.id, 2);
    registry.restoreUsed(task.id, 1);
    expect(registry.takeCall(task.id)).toEqual({ callsLeft: 0 });
    expect(registry.takeCall(task.id)).toMatchObject({ refused: 'budget_exhausted', field: 'budget.calls' });
    expect(registry.takeCall(taskId('tsk_none'))).toMatchObject({ refused: 'ended' });
  });

  it('restores active tasks at start and ends those past their expiry', async () => {
    const repository = createMemoryTasks();
    const before = fixture({}, repository);
    const old = await before.start();
    await before.pass(30_000);
    const recent = await before.start('bot', 2);
    before.registry.close();
    expect(before.timers.size).toBe(0);

    const after = fixture({ maxActivePerAgent: 1 }, repository);
    after.state.now = old.expiresAt;
    const ended: string[] = [];
    after.registry.onEnd(({ id, endReason }) => void ended.push(`${id} ${endReason}`));
    const { settled, ...counts } = await after.registry.load();
    expect(counts).toEqual({ restored: 1, expired: 1 });
    expect(after.registry.get(old.id)).toBeUndefined();
    await settled;
    expect(ended).toEqual([`${old.id} expired`]);
    expect(after.registry.active()).toEqual([recent]);
    await expect(after.start(), 'restored tasks count').rejects.toThrow(/active tasks/);
    await after.pass(30_000);
    expect(ended).toEqual([`${old.id} expired`, `${recent.id} expired`]);
    expect(recent.trace).not.toBe(traceId(''));
  });

  it('serves at once after a long outage: 2,000 expired tasks are ended a few at a time', async () => {
    const repository = createMemoryTasks();
    const one = await fixture({}, repository).start();
    for (let n = 0; n < 2_000; n += 1) repository.rows.set(`tsk_${n}`, { ...one, id: taskId(`tsk_${n}`) });
    const end = repository.end;
    let running = 0;
    let most = 0;
    repository.end = async (...all) => {
      most = Math.max(most, ++running);
      await Promise.resolve();
      running -= 1;
      return end(...all);
    };
    const { registry, state } = fixture({}, repository);
    state.now = one.expiresAt + 1;
    const { expired, settled } = await registry.load();
    expect(expired).toBe(2_001);
    await settled;
    expect(most).toBe(8);
    expect(await repository.list(tenantId('default'), { state: 'active' })).toEqual([]);
  });
});
