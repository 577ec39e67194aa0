import type { LoadedPolicies } from '../../adapters/policy/load-policies.ts';
import { rewriteFile } from '../../adapters/policy/rewrite-file.ts';
import { editTemplates } from '../../config/edit-templates.ts';
import type { NamedText } from '../policies/policy-cases.ts';
import type { Suggestion } from './suggest.ts';

export interface SuggestedFiles {
  /** Files of policies and cases, by their names below their folder; all of them, changed or not. */
  readonly policies: readonly { readonly name: string; readonly text: string; readonly isChanged: boolean }[];
  /** The configuration with narrower templates. */
  readonly config: string;
}

/**
 * What policies and configuration would look like. Writes nothing.
 * @param texts what the policies were loaded from
 * @param config text of the configuration
 */
export function suggestedFiles(
  suggestion: Suggestion,
  texts: readonly NamedText[],
  { policies }: LoadedPolicies,
  config: string,
): SuggestedFiles {
  const { since, until } = suggestion;
  const changes = new Map(suggestion.policies.map((one) => [one.id, one]));
  const note = `From ${since.slice(0, 10)} to ${until.slice(0, 10)}`;
  const files = texts.map(({ name, path, text }) => {
    const own = policies.filter(({ file }) => file === path);
    const written = own.length === 0 ? text : rewriteFile(text, own, changes, note);
    return { name, text: written, isChanged: written !== text };
  });
  const edits = new Map(
    suggestion.templates
      .filter(({ change }) => change === 'narrowed')
      .map(({ template, agents, classes, tools, calls, maxDurationSeconds }) => [
        template,
        Object.fromEntries(
          Object.entries({ agents, classes, tools, calls, maxDurationSeconds }).filter(
            ([, value]) => value !== undefined,
          ),
        ),
      ]),
  );
  return { policies: files, config: edits.size === 0 ? config : editTemplates(config, edits) };
}
