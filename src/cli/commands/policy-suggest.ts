import { mkdir, readdir, readFile, writeFile } from 'node:fs/promises';
import { dirname, join, resolve } from 'node:path';
import type { Command } from 'commander';
import { needsArguments } from '../../compose/explain/replay-decision.ts';
import { type Suggestion, suggest } from '../../compose/explain/suggest.ts';
import { type SuggestedFiles, suggestedFiles } from '../../compose/explain/suggested-files.ts';
import { readPolicies } from '../../compose/policies/policies.ts';
import { RemitError } from '../../domain/errors.ts';
import { command } from '../command.ts';
import { openForReplay, type ReplayOptions, readSpan, replayOptions } from '../replay-options.ts';
import { suggestionText } from '../suggestion-text.ts';
import { withWorkspace } from '../with-workspace.ts';

interface SuggestOptions extends ReplayOptions {
  readonly agent?: string;
  readonly template?: string;
  readonly out?: string;
}

export function addSuggestCommand(group: Command): void {
  command<SuggestOptions>(
    group,
    'suggest',
    'least privilege from use: narrower policies and templates under which no recorded call would change; applies nothing',
    (c) =>
      replayOptions(c, '30d')
        .option('-a, --agent <name>', 'only what is granted to this agent by name, and its use')
        .option('-t, --template <id>', 'only this template')
        .option('-o, --out <folder>', 'write the policies and the configuration there, to look at and to simulate'),
    async (output, options) => {
      await withWorkspace(options, async (workspace) => {
        const { estate, places, loaded: config } = workspace;
        const loaded = await readPolicies(places.policies, estate);
        const span = readSpan(workspace, options);
        let needed = 0;
        for await (const decided of span.read()) if (needsArguments(estate, decided)) needed += 1;
        const openArguments = await openForReplay(workspace, options, 'remit policy suggest', needed);
        const whole = await suggest({ estate, loaded, span, openArguments });
        const suggestion = onlyOf(whole, options, (id) => loaded.policies.find((one) => one.id === id)?.text ?? '');
        const files = await suggestedFiles(suggestion, places.policies, loaded, await readFile(config.path, 'utf8'));
        if (options.out !== undefined) await writeFiles(options.out, files);
        const { out } = options;
        output.result({ ...suggestion, ...(out !== undefined && { written: resolve(out) }) }, () =>
          suggestionText(suggestion, estate, out),
        );
      });
    },
  );
}

/** Parts of a suggestion; what is granted to others, or to several at once, stays as it is. */
function onlyOf(
  whole: Suggestion,
  { agent, template }: SuggestOptions,
  textOf: (policy: string) => string,
): Suggestion {
  if (agent === undefined && template === undefined) return whole;
  return {
    ...whole,
    agents: whole.agents.filter((one) => agent === undefined || one.agent === agent),
    policies: whole.policies.filter(
      ({ id }) => agent !== undefined && textOf(id).includes(`principal == Remit::Agent::${JSON.stringify(agent)}`),
    ),
    templates: whole.templates.filter((one) => template !== undefined && one.template === template),
  };
}

/** Only into a folder that is new or empty: nothing that is in force is ever written over. */
async function writeFiles(folder: string, { policies, config }: SuggestedFiles): Promise<void> {
  const there = await readdir(folder).catch(() => []);
  if (there.length > 0) {
    throw new RemitError('ERR_USAGE', `${folder} is not empty`, { where: folder, hint: 'Name a folder that is new.' });
  }
  for (const { name, text } of [
    ...policies.map((file) => ({ ...file, name: join('policies', file.name) })),
    { name: 'remit.yaml', text: config },
  ]) {
    const path = join(folder, name);
    await mkdir(dirname(path), { recursive: true });
    await writeFile(path, text);
  }
}
