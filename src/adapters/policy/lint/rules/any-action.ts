import { findingOf, type LintRule } from '../lint-model.ts';
import { permitsOf } from '../permits.ts';

/** Listing and every class of call at once. */
export const anyAction: LintRule = (model) =>
  permitsOf(model).flatMap(({ policy }) =>
    policy.json.action.op === 'All'
      ? [
          findingOf(
            policy,
            'any-action',
            'medium',
            'it permits every action: listing, and calls of every class, those to come included',
            'Name `discover` and the classes that are meant: `action in [Remit::Action::"discover", Remit::Action::"read"]`.',
          ),
        ]
      : [],
  );
