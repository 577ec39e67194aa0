import { basename } from 'node:path';
import { RemitError } from '../../domain/errors.ts';

/**
 * What a connector's command would run (attack A31). A command in the configuration names a program; it must not *be* one. Whoever reviews
 * `npx -y some-server` sees a package name, but `npx -c '…'` or `sh -c '…'` runs whatever stands there.
 */

const SHELLS = new Set(['sh', 'bash', 'dash', 'zsh', 'ksh', 'mksh', 'ash', 'fish', 'csh', 'tcsh', 'rbash', 'su']);
const POWERSHELLS = new Set(['pwsh', 'powershell']);
/** Runners of packages, whose `-c` is a command line for a shell. */
const RUNNERS = new Set(['npx', 'npm', 'pnpm', 'pnpx', 'yarn', 'bunx', 'uvx', 'pipx', 'uv', 'corepack']);

interface Interpreter {
  /** Long options that hold code. */
  readonly long: readonly string[];
  /** Letters that hold code, also in a cluster such as `-ne`. */
  readonly letters: string;
  /** Subcommands that hold code. */
  readonly verbs?: readonly string[];
  /** Options whose value is the next argument, so that it is not taken for the script. */
  readonly valued: readonly string[];
}

const NODE_VALUED = ['-r', '--require', '--import', '--loader', '--experimental-loader', '-C', '--conditions'];
const NODE: Interpreter = {
  long: ['--eval', '--print'],
  letters: 'ep',
  valued: [...NODE_VALUED, '--env-file', '--env-file-if-exists', '--title', '--input-type', '--disable-warning'],
};
const INTERPRETERS: Readonly<Record<string, Interpreter>> = {
  node: NODE,
  nodejs: NODE,
  tsx: { ...NODE, valued: [...NODE.valued, '--tsconfig'] },
  'ts-node': { ...NODE, valued: [...NODE.valued, '-P', '--project', '-O', '--compiler-options'] },
  bun: { ...NODE, valued: [...NODE.valued, '--preload', '--cwd'] },
  deno: { long: [], letters: '', verbs: ['eval', 'repl'], valued: [] },
  python: { long: [], letters: 'c', valued: ['-W', '-X', '--check-hash-based-pycs'] },
  pypy: { long: [], letters: 'c', valued: ['-W', '-X'] },
  perl: { long: [], letters: 'eE', valued: ['-I'] },
  ruby: { long: [], letters: 'e', valued: ['-I', '-r', '-E', '-C'] },
  php: { long: ['--run', '--process-code', '--process-begin', '--process-end'], letters: 'rRBE', valued: ['-d', '-c'] },
  lua: { long: [], letters: 'e', valued: ['-l'] },
  Rscript: { long: [], letters: 'e', valued: [] },
  julia: { long: ['--eval', '--print'], letters: 'eE', valued: ['-J', '-L', '-p', '-t'] },
  osascript: { long: [], letters: 'e', valued: ['-l'] },
};
/** Options of `env` whose value is the next argument. */
const ENV_VALUED = new Set(['-u', '--unset', '-C', '--chdir']);

/** Name of a program without folder, ending and version: `/usr/bin/python3.11` is `python`. */
export function programName(program: string): string {
  const name = basename(program.replaceAll('\\', '/')).replace(/\.(exe|cmd|bat|ps1)$/i, '');
  const plain = name.replace(/[-.]?\d+(\.\d+)*$/, '');
  return plain === '' ? name : plain;
}

/**
 * What of a command is code rather than the name of code; undefined where nothing is.
 * @param command program and arguments
 */
export function inlineCodeIn(command: readonly string[]): string | undefined {
  const [program = '', ...args] = command;
  if (/\.(cmd|bat)$/i.test(program)) return `${basename(program)} runs in the shell of Windows`;
  if (programName(program) === 'env') return inlineCodeIn(afterEnv(args) ?? ['sh', '-c']);
  if (isInterpreter(program)) return inlineIn(program, args) ?? programFromInput(program, args);
  // Whatever starts another program (nice, docker, npx, …): a shell with code can stand anywhere behind it.
  const own = inlineIn(program, args);
  if (own !== undefined) return own;
  for (let at = 0; at < args.length; at += 1) {
    const inner = inlineIn(args[at] as string, args.slice(at + 1));
    if (inner !== undefined) return inner;
  }
  return undefined;
}

/** @throws `ERR_CONFIG_INVALID` where the command, or its environment, holds code */
export function refuseInlineCode(command: readonly string[], environment: Readonly<Record<string, string>>): void {
  const found =
    inlineCodeIn(command) ??
    (/(^|[\s=])data:/.test(environment.NODE_OPTIONS ?? '') ? 'NODE_OPTIONS holds a data: URL' : undefined);
  if (found === undefined) return;
  throw new RemitError('ERR_CONFIG_INVALID', `The command of a connector holds code instead of naming it: ${found}`, {
    where: 'transport.stdio.command',
    hint: 'Put the code into a file and name that, or set allowInlineCode for this connector deliberately.',
  });
}

/** The script that an interpreter runs, as it stands in its arguments; undefined for other programs, and where there is none. */
export function scriptOf(command: readonly string[]): string | undefined {
  const [program = '', ...args] = command;
  const interpreter = INTERPRETERS[programName(program)];
  const isShell = SHELLS.has(programName(program));
  if ((interpreter === undefined && !isShell) || inlineIn(program, args) !== undefined) return undefined;
  return operandOf(args, interpreter?.valued ?? []);
}

function isInterpreter(program: string): boolean {
  const name = programName(program);
  return SHELLS.has(name) || POWERSHELLS.has(name) || name === 'cmd' || Object.hasOwn(INTERPRETERS, name);
}

/** Code in the arguments of this program itself. */
function inlineIn(program: string, args: readonly string[]): string | undefined {
  const name = programName(program);
  const because = (option: string): string => `${name} ${option}`;
  if (name === 'env') {
    const rest = afterEnv(args);
    return rest === undefined ? because('-S') : rest.length === 0 ? undefined : inlineCodeIn(rest);
  }
  if (RUNNERS.has(name)) {
    const option = beforeOperandOf(name, args).find((arg) => /^(-c|--call(=.*)?|--shell-mode)$/.test(arg));
    return option === undefined ? undefined : because(option.replace(/=.*/s, ''));
  }
  if (name === 'cmd') return args.some((arg) => /^\/[ck]/i.test(arg)) ? because('/c') : undefined;
  if (POWERSHELLS.has(name)) return args.some((arg) => /^-(c|e)/i.test(arg)) ? because('-Command') : undefined;
  const isShell = SHELLS.has(name);
  const interpreter = isShell
    ? { long: ['--command', '--init-command', '--session-command'], letters: 'cs', valued: ['-o', '-O', '+o', '+O'] }
    : INTERPRETERS[name];
  if (interpreter === undefined) return undefined;
  for (let at = 0; at < args.length; at += 1) {
    const arg = args[at] as string;
    if (/^(--[\w-]+=)?data:/.test(arg)) return because('data:');
    if (!arg.startsWith('-') && !arg.startsWith('+')) {
      return (interpreter as Interpreter).verbs?.includes(arg) ? because(arg) : undefined;
    }
    if (arg === '--' || arg === '-') return undefined;
    const [option = ''] = arg.split('=');
    if (interpreter.long.includes(option)) return because(option);
    if (holdsLetter(arg, interpreter)) return because(arg.slice(0, 8));
    if (!interpreter.valued.includes(arg)) continue;
    at += 1;
    if (/^data:/.test(args[at] ?? '')) return because('data:');
  }
  return undefined;
}

/** Whether a cluster of short options (`-Bc`) has one that holds code. One with a value ends the cluster: `-Ifolder`. */
function holdsLetter(arg: string, { letters, valued }: { letters: string; valued: readonly string[] }): boolean {
  if (arg.startsWith('--') || arg.startsWith('+')) return false;
  for (const letter of arg.slice(1)) {
    if (letters.includes(letter)) return true;
    if (valued.includes(`-${letter}`) || letter === 'm') return false;
  }
  return false;
}

/** Without a script, an interpreter runs what it reads: here, whatever the gateway writes to the server. */
function programFromInput(program: string, args: readonly string[]): string | undefined {
  const name = programName(program);
  if (name === 'cmd' || POWERSHELLS.has(name) || args.some((arg) => /^-\w*m/.test(arg))) return undefined;
  const script = operandOf(args, INTERPRETERS[name]?.valued ?? []);
  return script === undefined || script === '-' ? `${name} without a script runs what is written to it` : undefined;
}

function operandOf(args: readonly string[], valued: readonly string[]): string | undefined {
  for (let at = 0; at < args.length; at += 1) {
    const arg = args[at] as string;
    if (arg === '--') return args[at + 1];
    if (valued.includes(arg)) at += 1;
    else if (arg === '-' || !arg.startsWith('-')) return arg === 'run' ? operandOf(args.slice(at + 1), valued) : arg;
  }
  return undefined;
}

/** Options of a runner itself, not of what it runs. */
function beforeOperandOf(name: string, args: readonly string[]): readonly string[] {
  const isVerb = (arg: string): boolean => name !== 'npx' && /^(exec|x|dlx|run|tool|npx)$/.test(arg);
  const found: string[] = [];
  for (let at = 0; at < args.length; at += 1) {
    const arg = args[at] as string;
    if (arg === '--') break;
    if (/^(-p|--package|--from|--with|--prefix|-w|--workspace|-C|--dir)$/.test(arg)) at += 1;
    else if (arg.startsWith('-')) found.push(arg);
    else if (!isVerb(arg)) break;
  }
  return found;
}

/** What `env` runs; undefined where it splits a text into a command. */
function afterEnv(args: readonly string[]): readonly string[] | undefined {
  let at = 0;
  for (; at < args.length; at += 1) {
    const arg = args[at] as string;
    if (/^(-S|--split-string)/.test(arg) || /^-[a-zA-Z]*S/.test(arg)) return undefined;
    if (ENV_VALUED.has(arg)) at += 1;
    else if (!arg.startsWith('-') && !/^[^=/]+=/.test(arg)) break;
  }
  return args.slice(at);
}
