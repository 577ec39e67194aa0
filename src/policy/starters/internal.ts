import {
  AGENTS_HELD,
  AGENTS_WORK,
  ANY_USER,
  CASES_OF_ANY_USER,
  HEAD,
  HOLDS_HEAD,
  hold,
  ONE_AGENT,
  type Starter,
} from './parts.ts';

/** For a team's own tools: work goes on by itself, money, exports, rights and secrets wait. */
export const internal: Starter = {
  agents: HEAD + AGENTS_WORK + AGENTS_HELD + ONE_AGENT,
  users: ANY_USER,
  holds:
    HOLDS_HEAD +
    hold({
      id: 'money-and-exports-wait',
      stepUp: 'expires=30m limit=5',
      reason: 'Money and exports wait for a person.',
      classes: ['financial', 'export'],
    }) +
    hold({
      id: 'rights-and-secrets-wait',
      stepUp: 'expires=15m not=user',
      reason: 'Rights and secrets wait for another person.',
      classes: ['privilege', 'secret'],
    }),
  userCases: CASES_OF_ANY_USER,
};
