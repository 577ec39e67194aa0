import { readFile } from 'node:fs/promises';
import { join, relative, resolve } from 'node:path';
import type { LoadedPolicies } from '../../adapters/policy/load-policies.ts';
import { rewriteFile } from '../../adapters/policy/rewrite-file.ts';
import { editTemplates } from '../../config/edit-templates.ts';
import { listPolicyFiles } from '../policies/policies.ts';
import type { Suggestion } from './suggest.ts';

export interface SuggestedFiles {
  /** Files of the policies folder, by their names in it; all of them, changed or not. */
  readonly policies: readonly { readonly name: string; readonly text: string; readonly isChanged: boolean }[];
  /** The configuration with narrower templates. */
  readonly config: string;
}

/** What the policies folder and the configuration would look like. Writes nothing. @param config text of the configuration */
export async function suggestedFiles(
  suggestion: Suggestion,
  folder: string,
  { policies }: LoadedPolicies,
  config: string,
): Promise<SuggestedFiles> {
  const { since, until } = suggestion;
  const changes = new Map(suggestion.policies.map((one) => [one.id, one]));
  const note = `From ${since.slice(0, 10)} to ${until.slice(0, 10)}`;
  const names = await listPolicyFiles(folder);
  const files = await Promise.all(
    names.map(async (name) => {
      const text = await readFile(join(folder, name), 'utf8');
      const own = policies.filter(({ file }) => relative(folder, resolve(file)) === name);
      const written = own.length === 0 ? text : rewriteFile(text, own, changes, note);
      return { name, text: written, isChanged: written !== text };
    }),
  );
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
