import { expect, it } from 'vitest';
import { agentId, templateId } from '../../src/domain/ids.ts';
import { withinTemplate } from '../../src/tasks/within-template.ts';
import { makeTask } from '../support/fake-gateway-parts.ts';

it('D3 an action class that was taken out of the template since the task began is not leased any more', () => {
  const made = makeTask('tsk_a');
  const running = { ...made, bounds: { ...made.bounds, actionClasses: ['read', 'write'] as const } };
  const template = {
    id: templateId('orders'),
    owner: 'dana',
    purpose: 'orders',
    agents: [agentId('helper')],
    bounds: { ...made.bounds, actionClasses: ['read'] as const },
    maxDurationSeconds: 60,
    requiresUser: false,
  };
  expect(withinTemplate(running, template).bounds.actionClasses).toEqual(['read']);
  expect(withinTemplate(running, undefined).bounds.actionClasses).toEqual([]);
});
