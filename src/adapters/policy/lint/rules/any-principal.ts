import { findingOf, type LintRule } from '../lint-model.ts';
import { permitsOf } from '../permits.ts';

/** Users, agents and actors are judged alone: a permit for all of them takes the judgement away. */
export const anyPrincipal: LintRule = (model) =>
  permitsOf(model).flatMap(({ policy }) =>
    policy.json.principal.op === 'All'
      ? [
          findingOf(
            policy,
            'any-principal',
            'medium',
            'it permits every agent, every actor and every user alike',
            'Name an agent or a group, or write one policy for agents (`principal is Remit::Agent`) and one for users.',
          ),
        ]
      : [],
  );
