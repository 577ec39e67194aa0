import { ANY_USER, CASES_OF_ANY_USER, HEAD, HOLDS_HEAD, hold, ONE_AGENT, type Starter } from './parts.ts';

/** For trying things out with nobody's data: all but rights and secrets, at once. */
export const sandbox: Starter = {
  agents: `${HEAD}
@id("agents-act")
@lint_allow("critical-arguments")
@reason("In a sandbox agents may do what their task covers.")
permit (
  principal is Remit::Agent,
  action in [
    Remit::Action::"write",
    Remit::Action::"ticket",
    Remit::Action::"code",
    Remit::Action::"financial",
    Remit::Action::"export",
    Remit::Action::"privilege",
    Remit::Action::"secret"
  ],
  resource
);
${ONE_AGENT}`,
  users: ANY_USER.replace('@id("users-all")', '@id("users-all")\n@lint_allow("critical-arguments")'),
  holds:
    HOLDS_HEAD +
    hold({
      id: 'rights-and-secrets-wait',
      stepUp: 'expires=15m limit=20',
      reason: 'Rights and secrets wait for a person.',
      classes: ['privilege', 'secret'],
    }),
  userCases: CASES_OF_ANY_USER,
};
