import { fileURLToPath } from 'node:url';
import type { Command } from 'commander';
import { placesOf } from '../../compose/workspace.ts';
import { loadConfig } from '../../config/load-config.ts';
import { RemitError } from '../../domain/errors.ts';
import { type Common, command } from '../command.ts';

/** Seconds that Claude Code waits for the hook; it takes a fraction of one. */
const TIMEOUT_SECONDS = 5;

export function addHookCommands(program: Command): void {
  const group = program.command('hook').description('what clients run for the trail');

  command<Common & { agent: string }>(
    group,
    'claude-code',
    'print the settings that put the digest of each prompt in Claude Code on the trail',
    (c) => c.requiredOption('-a, --agent <name>', 'the agent that `remit connect` runs for there'),
    async (output, options) => {
      const loaded = await loadConfig(options.config);
      if (!Object.hasOwn(loaded.config.agents, options.agent)) {
        throw new RemitError('ERR_NOT_FOUND', `no agent is called ${options.agent}`, {
          where: loaded.path,
          hint: `Known agents: ${Object.keys(loaded.config.agents).join(', ') || 'none'}.`,
        });
      }
      if (loaded.config.prompts === 'off') {
        output.note('note: `prompts: off` in remit.yaml: nothing of this will be kept');
      }
      const script = fileURLToPath(new URL('../../../../bin/claude-code-hook.js', import.meta.url));
      const words = [process.execPath, script, placesOf(loaded).sessions, options.agent];
      const hook = {
        type: 'command',
        command: [...words.map(quoted), ...(loaded.config.prompts === 'text' ? ['--text'] : [])].join(' '),
        timeout: TIMEOUT_SECONDS,
      };
      const settings = { hooks: { UserPromptSubmit: [{ hooks: [hook] }] } };
      // A snippet to paste is JSON either way.
      output.result(settings, () => JSON.stringify(settings, null, 2));
    },
  );
}

/** For a POSIX shell, which is what Claude Code runs hooks with. */
const quoted = (word: string): string => (/^[\w@%+=:,./-]+$/.test(word) ? word : `'${word.replaceAll("'", `'\\''`)}'`);
