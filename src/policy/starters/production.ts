import { NO_USERS } from './examples.ts';
import {
  AGENTS_HELD,
  AGENTS_WORK,
  CASES_OF_NO_USER,
  HEAD,
  HOLDS_HEAD,
  hold,
  ONE_AGENT,
  type Starter,
} from './parts.ts';

/** For systems that others depend on: what can be undone goes on by itself, all else waits; users are named by group. */
export const production: Starter = {
  agents: HEAD + AGENTS_WORK + AGENTS_HELD + ONE_AGENT,
  users: NO_USERS,
  holds:
    HOLDS_HEAD +
    hold({
      id: 'irreversible-waits',
      stepUp: 'expires=15m limit=5',
      reason: 'What cannot be undone waits for a person.',
      classes: ['write', 'ticket', 'code'],
      condition: 'unless { resource.reversible }',
    }) +
    hold({
      id: 'money-and-exports-wait',
      stepUp: 'expires=15m not=user',
      reason: 'Money and exports wait for another person.',
      classes: ['financial', 'export'],
    }) +
    hold({
      id: 'rights-and-secrets-wait',
      stepUp: 'expires=15m not=user,owner',
      reason: 'Rights and secrets wait for somebody who neither asked nor owns the agent.',
      classes: ['privilege', 'secret'],
    }) +
    hold({
      id: 'risk-waits',
      stepUp: 'expires=15m not=user',
      reason: 'Who has behaved strangely lately changes nothing without another person.',
      classes: ['write', 'ticket', 'code'],
      condition: `when {
  ["high", "critical"].contains(context.risk.task) ||
  ["high", "critical"].contains(context.risk.agent)
}`,
    }),
  userCases: CASES_OF_NO_USER,
};
