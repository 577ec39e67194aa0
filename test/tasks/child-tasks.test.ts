import { randomBytes } from 'node:crypto';
import { beforeEach, describe, expect, it } from 'vitest';
import { agentId, type TaskId, taskId, templateId, tenantId } from '../../src/domain/ids.ts';
import { Standing } from '../../src/domain/revocation.ts';
import type { Task, TaskTemplate } from '../../src/domain/task.ts';
import { createTaskRegistry } from '../../src/tasks/create-task-registry.ts';
import { isTaskRefusal } from '../../src/tasks/task-refusal.ts';
import type { StartChild, TaskRegistry } from '../../src/tasks/task-registry.ts';
import { createMemoryTasks } from '../support/fake-memory-repositories.ts';

/** Tasks below tasks (R70, R73): narrower only, no deeper nor wider than the template says, and gone with their parent. */
const AGENT = agentId('support-bot');
const USER = { issuer: 'https://idp.example', subject: 'ann', groups: [] };
const template: TaskTemplate = {
  id: templateId('triage'),
  owner: 'o',
  purpose: 'Answer customers',
  agents: [AGENT, agentId('other-bot')],
  bounds: { actionClasses: ['read', 'ticket'], tools: ['crm/*', 'mail/send'], resources: ['db:public.*'], calls: 10 },
  maxDurationSeconds: 600,
  requiresUser: false,
  children: { depth: 2, perTask: 2 },
};
let now: number;
let registry: TaskRegistry;
let standing: Standing;
let of: TaskTemplate;
let ended: string[];
let onStarted: (task: Task) => Promise<void>;

beforeEach(() => {
  now = 1_000_000;
  of = template;
  ended = [];
  onStarted = async () => {};
  standing = new Standing();
  registry = createTaskRegistry({
    tenant: tenantId('default'),
    repository: createMemoryTasks(),
    standing,
    templates: () => new Map([[of.id, of]]),
    clock: () => now,
    schedule: () => () => {},
    random: (size) => randomBytes(size),
    log: { debug() {}, info() {}, warn() {}, error() {} },
    onStarted: (task) => onStarted(task),
  });
  registry.onEnd((task, reason) => void ended.push(`${task.id} ${reason}`));
});

async function startTop(more: object = {}): Promise<Task> {
  const task = await registry.start({ agent: AGENT, user: USER, declaration: { template: template.id, ...more } });
  if (isTaskRefusal(task)) throw new Error(task.reason);
  return task;
}

const child = (parent: TaskId, declaration: StartChild['declaration'] = {}, agent = AGENT) =>
  registry.start({ agent, parent, declaration });

async function startChild(parent: TaskId, declaration: StartChild['declaration'] = {}): Promise<Task> {
  const task = await child(parent, declaration);
  if (isTaskRefusal(task)) throw new Error(task.reason);
  return task;
}

const refusal = async (asked: ReturnType<typeof child>): Promise<string> => {
  const given = await asked;
  return isTaskRefusal(given) ? `${given.refused}: ${given.reason}` : 'started';
};

describe('a child task', () => {
  it('has its parent’s user, template and bounds, and no more time than is left', async () => {
    const parent = await startTop({ tools: ['crm/find'], durationSeconds: 100 });
    now += 40_500;
    expect(await startChild(parent.id, { purpose: 'Look up Mrs Ng' })).toMatchObject({
      parent: parent.id,
      agent: AGENT,
      user: USER,
      template: 'triage',
      purpose: 'Look up Mrs Ng',
      bounds: { ...parent.bounds, tools: ['crm/find'] },
      expiresAt: now + 59_000,
    });
  });

  it.each([
    ['a tool that its parent gave up', { tools: ['mail/send'] }],
    ['a class that its parent gave up', { actionClasses: ['ticket'] as const }],
    ['a resource', { resources: ['db:private.x'] }],
    ['more calls than are left', { calls: 4 }],
    ['more time than is left', { durationSeconds: 61 }],
  ])('D3 asks for %s: refused, never clipped', async (_, declaration) => {
    const parent = await startTop({ tools: ['crm/*'], actionClasses: ['read'], calls: 5, durationSeconds: 60 });
    registry.takeCall(parent.id);
    registry.takeCall(parent.id);
    expect(await refusal(child(parent.id, declaration))).toMatch(/^widening: .*(its parent|template)/);
  });

  it('of another agent’s task, or one that is over or suspended, is refused as if there were no such task', async () => {
    const parent = await startTop();
    expect(await refusal(child(parent.id, {}, agentId('other-bot')))).toMatch(/^not_found/);
    expect(await refusal(child(taskId('tsk_none')))).toMatch(/^not_found/);
    await registry.end(parent.id, 'completed');
    expect(await refusal(child(parent.id))).toMatch(/^not_found/);
  });

  it('R70 is no deeper and no wider than the template says, whatever is started at once', async () => {
    const top = await startTop();
    const first = await startChild(top.id);
    const second = await startChild(first.id);
    expect(await refusal(child(second.id))).toBe(
      `widening: parent '${second.id}': template 'triage' lets children be 2 deep`,
    );
    const [a, b] = await Promise.all([refusal(child(top.id)), refusal(child(top.id))]);
    expect([a, b].sort()).toEqual(['started', expect.stringMatching(/^too_many_tasks/)]);
    await registry.end(first.id, 'completed');
    expect(await refusal(child(top.id))).toBe('started');
    of = { ...template, children: undefined };
    expect(await refusal(child(top.id))).toMatch(/lets tasks have no children/);
  });

  it('takes its calls of every task above it: together they have no more than the one at the top', async () => {
    const top = await startTop({ calls: 3 });
    const first = await startChild(top.id);
    const second = await startChild(first.id, { calls: 1 });
    expect(registry.takeCall(second.id)).toEqual({ callsLeft: 0 });
    expect([top, first, second].map(({ id }) => registry.callsLeft(id))).toEqual([2, 2, 0]);
    registry.takeCall(top.id);
    registry.takeCall(top.id);
    expect(registry.callsLeft(first.id)).toBe(0);
    expect(registry.takeCall(first.id)).toMatchObject({ refused: 'budget_exhausted' });
    expect(await refusal(child(top.id))).toMatch(/^budget_exhausted/);
  });

  it('V2 ends with its parent, and with that one’s', async () => {
    const top = await startTop();
    const first = await startChild(top.id);
    const second = await startChild(first.id);
    await registry.end(top.id, 'completed');
    expect(ended.sort()).toEqual(
      [`${top.id} completed`, `${first.id} parent_ended`, `${second.id} parent_ended`].sort(),
    );
    expect(registry.active()).toEqual([]);
  });

  it('V2 that is being started as its parent ends is never given out', async () => {
    const top = await startTop();
    onStarted = () => registry.end(top.id, 'completed').then(() => undefined);
    expect(await refusal(child(top.id))).toMatch(/^ended/);
    expect(registry.active()).toEqual([]);
  });
});
