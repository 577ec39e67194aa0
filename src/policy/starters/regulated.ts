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

/** For data and systems under supervision: agents read; every change is somebody's word, rights and secrets two people's. */
export const regulated: Starter = {
  agents: HEAD + AGENTS_WORK + AGENTS_HELD + ONE_AGENT,
  users: NO_USERS,
  holds:
    HOLDS_HEAD +
    hold({
      id: 'every-change-waits',
      stepUp: 'expires=15m not=user,owner',
      reason: 'Every change waits for somebody who neither asked nor owns the agent.',
      classes: ['write', 'ticket', 'code', 'financial', 'export'],
    }) +
    hold({
      id: 'rights-and-secrets-wait-for-two',
      stepUp: 'count=2 expires=15m not=user,owner',
      reason: 'Rights and secrets wait for two people who neither asked nor own the agent.',
      classes: ['privilege', 'secret'],
    }) +
    hold({
      id: 'personal-data-waits',
      stepUp: 'expires=15m limit=10 not=owner',
      // There may be no such data here yet.
      lintAllow: 'matches-nothing',
      reason: 'Personal data is read for a user, or once a person agrees.',
      classes: ['read'],
      condition: 'when { resource.dataClasses.contains("personal") }\nunless { context has user }',
    }),
  userCases: CASES_OF_NO_USER,
};
