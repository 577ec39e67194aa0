import type { Command } from 'commander';
import { RemitError } from '../domain/errors.ts';
import { answeredBy } from './admin-client.ts';
import { createOutput, type Output, reportError } from './output.ts';

/** Options that every command has. */
export interface Common {
  readonly config: string;
  readonly json: boolean;
}

/** Adds `--config` and `--json` to a command and wraps what it does, so that every error is reported the same way. */
export function command<T extends Common>(
  parent: Command,
  usage: string,
  description: string,
  options: (command: Command) => Command,
  run: (output: Output, options: T, args: readonly (string | undefined)[]) => Promise<void>,
): void {
  options(parent.command(usage).description(description))
    .option('-c, --config <file>', 'configuration', 'remit.yaml')
    .option('--json', 'one JSON document instead of text', false)
    .action(async (...given: unknown[]) => {
      const parsed = given.at(-2) as T;
      const args = given.slice(0, -2) as (string | undefined)[];
      // Waiting on a timer alone does not keep Node alive (ours are unreferenced): it would leave in the middle, with code 13.
      const untilDone = setInterval(() => {}, 60_000);
      try {
        const output = createOutput(parsed.json);
        await run(output, parsed, args);
        if (answeredBy().length > 0) output.note(`  answered by ${answeredBy().join(', ')}`);
      } catch (error) {
        process.exitCode = reportError(error, parsed.json);
      } finally {
        clearInterval(untilDone);
      }
    });
}

/** Standard input as text, for what must not be typed on a command line. @throws `ERR_USAGE` at a terminal */
export async function readStandardInput(what: string): Promise<string> {
  if (process.stdin.isTTY) {
    throw new RemitError('ERR_USAGE', `${what} is read from standard input`, {
      hint: 'Give it by a pipe or a file: `… < file`. On the command line it would be seen by every user of this machine.',
    });
  }
  let text = '';
  for await (const chunk of process.stdin) text += String(chunk);
  return text;
}

/** An option's value as a whole number. @throws `ERR_USAGE` */
export function readCount(option: string, text: string): number {
  if (/^\d{1,15}$/.test(text)) return Number(text);
  throw new RemitError('ERR_USAGE', `${option} takes a whole number, not ${text}`, {
    hint: `For example ${option} 20.`,
  });
}
