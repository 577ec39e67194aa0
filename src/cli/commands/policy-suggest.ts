import { readFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import type { Command } from 'commander';
import { needsArguments } from '../../compose/explain/replay-decision.ts';
import { type Suggestion, suggest } from '../../compose/explain/suggest.ts';
import { type SuggestedFiles, suggestedFiles } from '../../compose/explain/suggested-files.ts';
import { loadSourced } from '../../compose/policies/read-in-force.ts';
import { command } from '../command.ts';
import { orNameFolder, type PoliciesOption, policiesOption, readSource } from '../policy-source.ts';
import { openForReplay, type ReplayOptions, readSpan, replayOptions } from '../replay-options.ts';
import { suggestionText } from '../suggestion-text.ts';
import { withWorkspace } from '../with-workspace.ts';
import { writeNewFolder } from '../write-new-folder.ts';

interface SuggestOptions extends ReplayOptions, PoliciesOption {
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
      policiesOption(replayOptions(c, '30d'))
        .option('-a, --agent <name>', 'only what is granted to this agent by name, and its use')
        .option('-t, --template <id>', 'only this template')
        .option('-o, --out <folder>', 'write the policies and the configuration there, to look at and to simulate'),
    async (output, options) => {
      await withWorkspace(options, async (workspace) => {
        const { estate, loaded: config } = workspace;
        const [{ source, texts }, loaded] = await orNameFolder('--policies', async () => {
          const sourced = await readSource(options.policies, workspace);
          return [sourced, loadSourced(sourced, estate)];
        });
        const span = readSpan(workspace, options);
        let needed = 0;
        for await (const decided of span.read()) if (needsArguments(estate, decided)) needed += 1;
        const openArguments = await openForReplay(workspace, options, 'remit policy suggest', needed);
        const whole = await suggest({ estate, loaded, span, openArguments });
        const suggestion = onlyOf(whole, options, (id) => loaded.policies.find((one) => one.id === id)?.text ?? '');
        const files = suggestedFiles(suggestion, texts, loaded, await readFile(config.path, 'utf8'));
        if (options.out !== undefined) await writeNewFolder(options.out, filesOf(files));
        const { out } = options;
        output.result(
          { ...suggestion, policiesLookedAt: source, ...(out !== undefined && { written: resolve(out) }) },
          () => suggestionText(suggestion, estate, source, out),
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

const filesOf = ({ policies, config }: SuggestedFiles): { name: string; text: string }[] => [
  ...policies.map(({ name, text }) => ({ name: join('policies', name), text })),
  { name: 'remit.yaml', text: config },
];
