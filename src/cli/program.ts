import { Command, CommanderError } from 'commander';
import { RemitError } from '../domain/errors.ts';
import { addAgentCommands } from './commands/agent.ts';
import { addAuditCommands } from './commands/audit.ts';
import { addAuditorCommands } from './commands/auditor.ts';
import { addConnectCommands } from './commands/connect.ts';
import { addConnectorCommands } from './commands/connector.ts';
import { addDoctorCommand } from './commands/doctor.ts';
import { addFindingsCommand } from './commands/findings.ts';
import { addHookCommands } from './commands/hook.ts';
import { addInitCommand } from './commands/init.ts';
import { addKeysCommands } from './commands/keys.ts';
import { addKillCommand } from './commands/kill.ts';
import { addLeaseCommands } from './commands/lease.ts';
import { addPolicyCommands } from './commands/policy.ts';
import { addSecretCommands } from './commands/secret.ts';
import { addTaskCommands } from './commands/task.ts';
import { addToolCommands } from './commands/tool.ts';
import { addUpCommand } from './commands/up.ts';
import { addWhoCanCommand } from './commands/who-can.ts';
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
        await run(createOutput(parsed.json), parsed, args);
      } catch (error) {
        process.exitCode = reportError(error, parsed.json);
      } finally {
        clearInterval(untilDone);
      }
    });
}

export async function runCli(argv: readonly string[], version: string): Promise<void> {
  const program = new Command('remit')
    .description('Identity and access governance for MCP: the task is the unit of authority.')
    .version(version)
    .showHelpAfterError('Run the command with --help to see what it takes.')
    .exitOverride();
  addInitCommand(program);
  addUpCommand(program, version);
  addConnectCommands(program);
  addHookCommands(program);
  addAgentCommands(program);
  addTaskCommands(program);
  addLeaseCommands(program);
  addConnectorCommands(program);
  addKillCommand(program);
  addToolCommands(program);
  addSecretCommands(program);
  addPolicyCommands(program);
  addKeysCommands(program);
  addWhoCanCommand(program);
  addAuditCommands(program, version);
  addAuditorCommands(program);
  addFindingsCommand(program);
  addDoctorCommand(program);
  for (const child of allCommands(program)) child.exitOverride();
  try {
    await program.parseAsync([...argv], { from: 'user' });
  } catch (error) {
    if (!(error instanceof CommanderError)) throw error;
    // Commander has printed what was wrong; help and version are no errors.
    process.exitCode = error.exitCode === 0 ? 0 : 2;
  }
}

function allCommands(command: Command): Command[] {
  return command.commands.flatMap((child) => [child, ...allCommands(child)]);
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
