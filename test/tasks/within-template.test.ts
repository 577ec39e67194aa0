import { expect, it } from 'vitest';
import { agentId, templateId } from '../../src/domain/ids.ts';
import type { Task, TaskTemplate } from '../../src/domain/task.ts';
import { withinTemplate } from '../../src/tasks/within-template.ts';
import { makeTask } from '../support/fake-gateway-parts.ts';

function template(resources: readonly string[]): TaskTemplate {
  return {
    id: templateId('orders'),
    owner: 'dana',
    purpose: 'orders',
    agents: [agentId('helper')],
    bounds: { actionClasses: ['read'], tools: ['shop/*'], resources, calls: 5 },
    maxDurationSeconds: 60,
    requiresUser: false,
  };
}

function task(resources: readonly string[]): Task {
  const made = makeTask('tsk_a');
  return { ...made, bounds: { ...made.bounds, resources } };
}

it('D3 a resource that was taken out of the template since the task began is not leased any more', () => {
  const running = task(['shop:public.orders', 'shop:public.customers']);
  expect(withinTemplate(running, template(['shop:public.orders'])).bounds.resources).toEqual(['shop:public.orders']);
  expect(withinTemplate(running, template([])).bounds.resources).toEqual([]);
  expect(withinTemplate(running, undefined).bounds.resources).toEqual([]);
});

it('a task that its template still covers is the same object: nothing is made anew per call', () => {
  const running = task(['shop:public.orders']);
  const wide = template(['shop:public.*']);
  expect(withinTemplate(running, wide)).toBe(running);
  expect(withinTemplate(running, wide)).toBe(running);
});
