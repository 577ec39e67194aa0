import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { agentId, connectorId, taskId, templateId, tenantId, toolRef, traceId } from '../../src/domain/ids.ts';
import { coversTool, type TaskDeclaration, type TaskTemplate } from '../../src/domain/task.ts';
import { ACTION_CLASSES } from '../../src/domain/tool.ts';
import { coversResource } from '../../src/tasks/covers-resource.ts';
import { narrowTask } from '../../src/tasks/declare-task.ts';
import { isTaskRefusal, type TaskRefusalCode } from '../../src/tasks/task-refusal.ts';

const template: TaskTemplate = {
  id: templateId('triage'),
  owner: 'support@example.com',
  purpose: 'Answer customers',
  agents: [agentId('support-bot')],
  bounds: {
    actionClasses: ['read', 'ticket'],
    tools: ['shop_db/query', 'crm/*'],
    resources: ['shop_db:public.orders', 'files:/srv/shop/*'],
    calls: 20,
  },
  maxDurationSeconds: 600,
  requiresUser: false,
};
const context = {
  tenant: tenantId('default'),
  agent: agentId('support-bot'),
  user: undefined,
  now: 1_000,
  id: taskId('tsk_1'),
  trace: traceId('0'.repeat(32)),
};
const declare = (declaration: Partial<TaskDeclaration>, over: Partial<TaskTemplate> = {}) =>
  narrowTask({ ...template, ...over }, { template: template.id, ...declaration }, context);

describe('declaring a task', () => {
  it('takes from the template what the declaration leaves out', () => {
    expect(declare({})).toEqual({
      ...context,
      now: undefined,
      template: 'triage',
      purpose: 'Answer customers',
      bounds: template.bounds,
      parent: undefined,
      state: 'active',
      endReason: undefined,
      startedAt: 1_000,
      expiresAt: 601_000,
      endedAt: undefined,
    });
  });

  it('narrows every bound', () => {
    const task = declare({
      purpose: '  Order 7 of Mrs Ng  ',
      actionClasses: ['read', 'read'],
      tools: ['crm/find_customer'],
      resources: ['files:/srv/shop/invoices/*', 'shop_db:public.orders'],
      calls: 1,
      durationSeconds: 5,
    });
    expect(task).toMatchObject({
      purpose: 'Order 7 of Mrs Ng',
      bounds: {
        actionClasses: ['read'],
        tools: ['crm/find_customer'],
        resources: ['files:/srv/shop/invoices/*', 'shop_db:public.orders'],
        calls: 1,
      },
      expiresAt: 6_000,
    });
    expect(declare({ resources: [] })).toMatchObject({ bounds: { resources: [] } });
    expect(declare({ tools: ['crm/*'] })).toMatchObject({ bounds: { tools: ['crm/*'] } });
  });

  const refusals: [string, Partial<TaskDeclaration>, TaskRefusalCode, string][] = [
    ['another action class', { actionClasses: ['read', 'write'] }, 'widening', "actions[1] 'write'"],
    ['another tool', { tools: ['shop_db/execute'] }, 'widening', "tools[0] 'shop_db/execute'"],
    ['a wildcard over an exact tool', { tools: ['shop_db/*'] }, 'widening', "tools[0] 'shop_db/*'"],
    ['every tool', { tools: ['*'] }, 'malformed', 'connector/tool'],
    ['another resource', { resources: ['shop_db:public.cards'] }, 'widening', 'shop_db:public.cards'],
    [
      'a wildcard over an exact resource',
      { resources: ['shop_db:public.orders*'] },
      'widening',
      'shop_db:public.orders*',
    ],
    ['a wider wildcard', { resources: ['files:/srv/*'] }, 'widening', 'files:/srv/*'],
    ['a path out of a wildcard', { resources: ['files:/srv/shop/../keys'] }, 'malformed', '..'],
    ['a backslash path out of a wildcard', { resources: ['files:/srv/shop/..\\..\\keys'] }, 'malformed', 'backslash'],
    ['a resource of no connector', { resources: ['/srv/shop/a'] }, 'malformed', 'connector:path'],
    ['more calls', { calls: 21 }, 'widening', '1 to 20'],
    ['no calls', { calls: 0 }, 'malformed', 'budget.calls'],
    ['half a call', { calls: 0.5 }, 'malformed', 'budget.calls'],
    ['endless calls', { calls: Number.POSITIVE_INFINITY }, 'malformed', 'budget.calls'],
    ['more time', { durationSeconds: 601 }, 'widening', '1 to 600'],
    ['time that is not a number', { durationSeconds: Number.NaN }, 'malformed', 'duration_seconds'],
    ['no tool at all', { tools: [] }, 'malformed', 'tools is empty'],
    ['an empty purpose', { purpose: '  ' }, 'malformed', 'purpose is empty'],
    ['a purpose of 501 characters', { purpose: 'x'.repeat(501) }, 'malformed', '500'],
    ['a purpose over two lines', { purpose: 'read\nall approved' }, 'malformed', 'control'],
    ['a purpose written backwards', { purpose: 'read \u202e detnarg' }, 'malformed', 'control'],
    ['a tool name with a control character', { tools: ['crm/a\u0000'] }, 'malformed', 'control'],
    ['too many tools', { tools: Array.from({ length: 201 }, (_, n) => `crm/t${n}`) }, 'malformed', '200'],
  ];
  it.each(refusals)('refuses %s and says why', (_title, declaration, refused, reason) => {
    expect(declare(declaration)).toMatchObject({ refused, reason: expect.stringContaining(reason) });
  });

  it('names the offending value and the allowed set', () => {
    expect(declare({ actionClasses: ['write'] })).toEqual({
      refused: 'widening',
      field: 'actions',
      value: 'write',
      allowed: ['read', 'ticket'],
      reason: "actions[0] 'write' is outside template 'triage'; allowed: read, ticket",
    });
  });

  it('refuses an agent that the template does not list, and a missing user', () => {
    expect(declare({}, { agents: [agentId('other')] })).toMatchObject({ refused: 'agent_not_allowed' });
    expect(declare({}, { requiresUser: true })).toMatchObject({ refused: 'user_required' });
    const user = { issuer: 'i', subject: 's', groups: [] };
    const task = narrowTask({ ...template, requiresUser: true }, { template: template.id }, { ...context, user });
    expect(task).toMatchObject({ user });
  });

  it('D3 the bounds of a task never exceed those of its template, whatever is declared', () => {
    const connectors = ['crm', 'db'];
    const concreteTools = connectors.flatMap((c) => ['a', 'b', 'a/b', '*'].map((t) => `${c}/${t}`));
    const paths = ['', 'a', 'ab', 'ab/c', 'b', 'a/../b', '*', 'a*'];
    const concreteResources = connectors.flatMap((c) => paths.map((path) => `${c}:${path}`));
    const patterns = (values: string[]) => fc.uniqueArray(fc.constantFrom(...values), { minLength: 1, maxLength: 4 });
    const classes = fc.uniqueArray(fc.constantFrom(...ACTION_CLASSES), { minLength: 1 });
    const templates = fc.record({
      actionClasses: classes,
      tools: patterns(concreteTools),
      resources: patterns(concreteResources),
      calls: fc.integer({ min: 10, max: 50 }),
    });
    // Mostly what the template holds or something under it; now and then anything at all.
    const declared = (own: readonly string[], any: string[], suffixes: string[]) => {
      const under = fc.tuple(fc.constantFrom(...own), fc.constantFrom('', ...suffixes));
      const near = under.map(([entry, suffix]) => (entry.endsWith('*') ? entry.slice(0, -1) + suffix : entry));
      const wild = fc.oneof(fc.constantFrom(...any, '*', 'crm', ':*', '/'), fc.string({ maxLength: 6 }));
      return fc.uniqueArray(fc.oneof({ weight: 12, arbitrary: near }, { weight: 1, arbitrary: wild }), {
        maxLength: 4,
      });
    };
    const number = fc.oneof({ weight: 12, arbitrary: fc.integer({ min: 1, max: 40 }) }, fc.integer(), fc.double());
    const cases = templates.chain((bounds) =>
      fc.tuple(
        fc.constant(bounds),
        fc.record(
          {
            actionClasses: fc.oneof(
              { weight: 8, arbitrary: fc.subarray(bounds.actionClasses, { minLength: 1 }) },
              classes,
            ),
            tools: declared(bounds.tools, concreteTools, ['a', 'b', '*', 'zzz']),
            resources: declared(bounds.resources, concreteResources, ['a', 'ab/*', '*', 'x']),
            calls: number,
            durationSeconds: number,
          },
          { requiredKeys: [] },
        ),
      ),
    );
    let started = 0;
    fc.assert(
      fc.property(cases, fc.integer({ min: 10, max: 50 }), ([bounds, declaration], maxDurationSeconds) => {
        const task = declare(declaration as Partial<TaskDeclaration>, { bounds, maxDurationSeconds });
        if (isTaskRefusal(task)) return;
        started += 1;
        // The oracle asks about concrete tools and resources, not about patterns.
        for (const connector of connectors) {
          for (const tool of ['a', 'b', 'a/b', 'zzz']) {
            const ref = toolRef(connectorId(connector), tool);
            if (coversTool(task.bounds.tools, ref)) expect(coversTool(bounds.tools, ref)).toBe(true);
          }
          for (const path of ['x', 'a', 'a1', 'ab', 'ab/c', 'b']) {
            const resource = `${connector}:${path}`;
            const isCovered = (list: readonly string[]) => list.some((pattern) => coversResource(pattern, resource));
            if (isCovered(task.bounds.resources)) expect(isCovered(bounds.resources)).toBe(true);
          }
        }
        expect(bounds.actionClasses).toEqual(expect.arrayContaining([...task.bounds.actionClasses]));
        expect(task.bounds.calls).toBeLessThanOrEqual(bounds.calls);
        expect(task.expiresAt - task.startedAt).toBeLessThanOrEqual(maxDurationSeconds * 1000);
        expect(task.expiresAt).toBeGreaterThan(task.startedAt);
      }),
      { numRuns: 3000 },
    );
    // A property over refusals alone would prove nothing.
    expect(started).toBeGreaterThan(300);
  });
});
