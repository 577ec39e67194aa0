import { comparedTemplates } from '../compared-templates.ts';
import { findingOf, type LintRule } from '../lint-model.ts';

/** A name that no task's template has. */
export const unknownTemplate: LintRule = ({ applied, input: { templates } }) =>
  applied.flatMap(({ policy }) =>
    comparedTemplates(policy.json)
      .filter((name) => !templates.some(({ id }) => id === name))
      .map((name) =>
        findingOf(
          policy,
          'unknown-template',
          'high',
          `it asks for the template ${JSON.stringify(name)}, which does not exist`,
          `Mind the spelling; there are: ${templates.map(({ id }) => id).join(', ') || 'none'}.`,
        ),
      ),
  );
