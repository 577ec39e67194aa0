import { describe, expect, it } from 'vitest';
import { agentId, type TaskId, taskId, templateId, tenantId } from '../../src/domain/ids.ts';
import { type Revocation, type RevocationSubject, Standing } from '../../src/domain/revocation.ts';
import type { Task } from '../../src/domain/task.ts';
import { createTaskRegistry } from '../../src/tasks/create-task-registry.ts';
import { makeTask, NOW } from '../support/fake-gateway-parts.ts';
import { createMemoryTasks } from '../support/fake-memory-repositories.ts';

const template = templateId('orders');
const bounds = { actionClasses: ['read'], tools: ['shop/*'], resources: [], calls: 5 } as const;

/** A registry over a log that a test appends to; root ← child ← grandchild of `helper`, and `other` of `clerk`. */
async function makeWorld(options: { held?: Revocation[]; revoked?: TaskId[]; onStarted?: () => Promise<void> } = {}) {
  const repository = createMemoryTasks();
  repository.revoked = async () => options.revoked ?? [];
  const rows: [string, string | undefined, string?][] = [
    ['tsk_root', undefined],
    ['tsk_child', 'tsk_root', 'clerk'],
    ['tsk_grandchild', 'tsk_child'],
    ['tsk_other', undefined, 'clerk'],
  ];
  for (const [id, parent, agent] of rows) {
    await repository.insert({ ...makeTask(id, agent), parent: parent === undefined ? undefined : taskId(parent) });
  }
  const standing = new Standing(options.held?.length ?? 0, options.held);
  let now = NOW;
  const registry = createTaskRegistry({
    tenant: tenantId('default'),
    repository,
    templates: () =>
      new Map([
        [
          template,
          {
            id: template,
            owner: 'dana',
            purpose: 'orders',
            agents: [agentId('helper'), agentId('clerk')],
            bounds,
            maxDurationSeconds: 60,
            requiresUser: false,
          },
        ],
      ]),
    clock: () => now,
    schedule: () => () => {},
    random: (size) => new Uint8Array(size),
    log: { debug() {}, info() {}, warn() {}, error() {} },
    standing,
    ...(options.onStarted && { onStarted: options.onStarted }),
  });
  const events: string[] = [];
  registry.onBarred(({ id }) => void events.push(`barred ${id}`));
  registry.onEnd(({ id, endReason }) => void events.push(`ended ${id} ${endReason}`));
  registry.onSuspension(({ id, state }) => void events.push(`${state} ${id}`));
  const { settled } = await registry.load();
  await settled;
  const append = (action: Revocation['action'], kind: RevocationSubject['kind'], id = '') => {
    const row = rowOf(standing.position + 1, action, kind, id);
    standing.note(row);
    return registry.apply(row);
  };
  const start = (agent = 'helper') =>
    registry.start({ agent: agentId(agent), user: undefined, declaration: { template } });
  const served = () => registry.active().map(({ id }) => id);
  const passTime = (ms: number): void => {
    now += ms;
  };
  return { repository, registry, standing, events, append, start, served, passTime };
}

const rowOf = (position: number, action: Revocation['action'], kind: RevocationSubject['kind'], id: string) => ({
  tenant: tenantId('default'),
  position,
  at: 0,
  by: 'dana',
  reason: 'test',
  action,
  subject: { kind, id },
});

describe('revocation of tasks', () => {
  it('V2 a task that is revoked takes all tasks below it along, of whatever agent, at once', async () => {
    const { append, served, events, repository } = await makeWorld();
    const { ended, done } = append('revoke', 'task', 'tsk_root');
    expect(served()).toEqual(['tsk_other']);
    expect([...ended].sort()).toEqual(['tsk_child', 'tsk_grandchild', 'tsk_root']);
    expect(events).toEqual(['barred tsk_root', 'barred tsk_child', 'barred tsk_grandchild']);
    await done;
    expect([...repository.rows.values()].filter(({ state }) => state === 'ended')).toHaveLength(3);
    expect(events.filter((event) => event.startsWith('ended'))).toHaveLength(3);
  });

  it.each([
    ['V2 a task that ends takes those below it along', 'completed'],
    ['V2 a task that expires takes those below it along', 'expired'],
  ] as const)('%s', async (_, reason) => {
    const { registry, served, repository } = await makeWorld();
    await registry.end(taskId('tsk_root'), reason);
    expect(served()).toEqual(['tsk_other']);
    expect(repository.rows.get('tsk_grandchild')).toMatchObject({ state: 'ended', endReason: 'parent_ended' });
  });

  it('V2 of an agent, or of everything, every task ends, those below them too', async () => {
    const world = await makeWorld();
    await world.append('revoke', 'agent', 'helper').done;
    expect(world.served()).toEqual(['tsk_other']);
    await world.append('revoke', 'all').done;
    expect(world.served()).toEqual([]);
  });

  it('V1 a suspended task is refused at once, keeps its time and its budget, and goes on when it is resumed', async () => {
    const { registry, append, served, events, repository, passTime } = await makeWorld();
    const id = taskId('tsk_other');
    registry.takeCall(id);
    await append('suspend', 'task', id).done;
    expect(served()).not.toContain(id);
    expect(registry.get(id)).toBeUndefined();
    expect(registry.takeCall(id)).toMatchObject({ refused: 'ended' });
    expect(registry.suspension(id)).toMatchObject({ position: 1, by: 'dana' });
    expect(registry.live().find((task) => task.id === id)).toMatchObject({ state: 'suspended' });
    expect(repository.rows.get(id)).toMatchObject({ state: 'suspended' });
    passTime(30_000);
    await append('resume', 'task', id).done;
    expect(events).toEqual([`barred ${id}`, `suspended ${id}`, `active ${id}`]);
    expect(registry.callsLeft(id)).toBe(4);
    expect(repository.rows.get(id)).toMatchObject({ state: 'active' });
    passTime(31_000);
    expect(registry.get(id)).toBeUndefined();
  });

  it('V1 a suspended task expires like any other', async () => {
    const { registry, append, passTime } = await makeWorld();
    await append('suspend', 'task', 'tsk_other').done;
    passTime(60_000);
    expect(registry.suspension(taskId('tsk_other'))).toBeUndefined();
    expect(registry.get(taskId('tsk_other'))).toBeUndefined();
  });

  it('V2 suspensions hold those below, and overlap: a task goes on when nothing holds it any more', async () => {
    const { append, served } = await makeWorld();
    await append('suspend', 'task', 'tsk_child').done;
    expect(served()).toEqual(['tsk_root', 'tsk_other']);
    expect(append('suspend', 'agent', 'helper').suspended).toEqual(['tsk_root']);
    expect(served()).toEqual(['tsk_other']);
    // Its agent goes on, and the task above it does not.
    await append('resume', 'agent', 'helper').done;
    expect(served()).toEqual(['tsk_root', 'tsk_other']);
    const { resumed } = append('resume', 'task', 'tsk_child');
    expect([...resumed].sort()).toEqual(['tsk_child', 'tsk_grandchild']);
  });

  it('V1 a suspended agent starts nothing, and after a stop of everything nobody does, until it is lifted', async () => {
    const { append, start } = await makeWorld();
    await append('suspend', 'agent', 'helper').done;
    expect(await start()).toMatchObject({ refused: 'suspended', reason: expect.stringContaining("agent 'helper'") });
    expect(await start('clerk')).not.toHaveProperty('refused');
    await append('revoke', 'all').done;
    expect(await start('clerk')).toMatchObject({ refused: 'suspended' });
    await append('resume', 'all').done;
    expect(await start('clerk')).not.toHaveProperty('refused');
    expect(await start()).toMatchObject({ refused: 'suspended' });
  });

  it.each([
    ['V1 a task that is being started when its agent is revoked never becomes active', 'revoke'],
    ['V1 a task that is being started when its agent is suspended never becomes active', 'suspend'],
  ] as const)('%s', async (_, action) => {
    const world: Awaited<ReturnType<typeof makeWorld>> = await makeWorld({
      onStarted: async () => void (await world.append(action, 'agent', 'helper').done),
    });
    const before = world.repository.rows.size;
    expect(await world.start()).toHaveProperty('refused');
    const begun = [...world.repository.rows.values()].slice(before);
    expect(begun).toMatchObject([{ state: 'ended', endReason: 'revoked' }]);
  });

  it('V1 a restart finds what was suspended, revoked, or lost its parent while no gateway ran', async () => {
    const world = await makeWorld({
      held: [rowOf(1, 'suspend', 'task', 'tsk_other')],
      revoked: [taskId('tsk_child')],
    });
    expect(world.served()).toEqual(['tsk_root']);
    expect(world.repository.rows.get('tsk_child')).toMatchObject({ endReason: 'revoked' });
    expect(world.repository.rows.get('tsk_grandchild')).toMatchObject({ endReason: 'parent_ended' });
    expect(world.repository.rows.get('tsk_other')).toMatchObject({ state: 'suspended' });
    expect(world.events).toContain('suspended tsk_other');
  });

  it('V1 what is noted as suspended goes on after a restart when the log says so', async () => {
    const repository = createMemoryTasks();
    const task: Task = { ...makeTask('tsk_back'), state: 'suspended' };
    await repository.insert(task);
    const registry = createTaskRegistry({
      tenant: tenantId('default'),
      repository,
      templates: () => new Map(),
      clock: () => NOW,
      schedule: () => () => {},
      random: (size) => new Uint8Array(size),
      log: { debug() {}, info() {}, warn() {}, error() {} },
    });
    await (await registry.load()).settled;
    expect(registry.get(task.id)).toMatchObject({ state: 'active' });
    expect(repository.rows.get(task.id)).toMatchObject({ state: 'active' });
  });
});
