import { expect, it } from 'vitest';
import { agentId, templateId, tenantId } from '../../src/domain/ids.ts';
import type { Task } from '../../src/domain/task.ts';
import { createTaskRegistry } from '../../src/tasks/create-task-registry.ts';
import { createMemoryTasks } from '../support/fake-memory-repositories.ts';

it('V1 a task that an administrator ends while its start is being recorded never becomes active', async () => {
  const repository = createMemoryTasks();
  const template = templateId('orders');
  const bounds = { actionClasses: ['read'], tools: ['shop/*'], resources: [], calls: 5 } as const;
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
            agents: [agentId('bot')],
            bounds,
            maxDurationSeconds: 60,
            requiresUser: false,
          },
        ],
      ]),
    clock: () => 1_000_000,
    schedule: () => () => {},
    random: (size) => new Uint8Array(size),
    log: { debug() {}, info() {}, warn() {}, error() {} },
    maxActivePerAgent: 1,
    async onStarted(task: Task) {
      if (repository.rows.size === 1) expect(await registry.end(task.id, 'revoked')).toBe(true);
    },
  });
  const start = () => registry.start({ agent: agentId('bot'), user: undefined, declaration: { template } });
  expect(await start()).toMatchObject({ refused: 'ended' });
  expect(registry.active()).toEqual([]);
  expect([...repository.rows.values()]).toMatchObject([{ state: 'ended', endReason: 'revoked' }]);
});
