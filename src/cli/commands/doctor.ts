import type { Command } from 'commander';
import { diagnose } from '../../compose/diagnose.ts';
import { isRemitError, messageOf } from '../../domain/errors.ts';
import { callAdmin } from '../admin-client.ts';
import { type Common, command } from '../command.ts';
import { colours } from '../output.ts';
import { withWorkspace } from '../with-workspace.ts';

interface Status {
  readonly mode?: string;
  readonly url: string;
  readonly pid: number;
  readonly tasks: number;
  readonly problems: readonly string[];
  /** While nothing is served. */
  readonly wayOn?: string;
}

export function addDoctorCommand(program: Command): void {
  command<Common>(
    program,
    'doctor',
    'look at everything and say what is wrong and what to do about it',
    (c) => c,
    async (output, options) => {
      await withWorkspace(options, async (workspace) => {
        const checks = [...(await diagnose(workspace)), await gatewayCheck(workspace.places.socket)];
        output.result(checks, () =>
          checks
            .map(({ name, state, what, hint }) => {
              const mark =
                state === 'ok'
                  ? colours.green('ok  ')
                  : state === 'warn'
                    ? colours.yellow('warn')
                    : colours.red('FAIL');
              return `${mark}  ${name}: ${what}${hint === undefined || state === 'ok' ? '' : `\n      next: ${hint}`}`;
            })
            .join('\n'),
        );
        if (checks.some(({ state }) => state === 'fail')) process.exitCode = 1;
      });
    },
  );
}

async function gatewayCheck(socket: string) {
  const name = 'gateway';
  try {
    const { url, pid, tasks, problems, mode, wayOn } = await callAdmin<Status>(socket, 'status');
    if (mode === 'revoke_only')
      return {
        name,
        state: 'fail' as const,
        what: `serves nothing: ${problems.join('; ')}`,
        hint: wayOn ?? 'Its log says what to do.',
      };
    if (problems.length === 0)
      return { name, state: 'ok' as const, what: `serves ${url} (pid ${pid}), ${tasks} active tasks` };
    return {
      name,
      state: 'warn' as const,
      what: `serves ${url}, but not reached: ${problems.join('; ')}`,
      hint: 'Check the command or URL of the connector; then `remit tool describe` or a restart lists it anew.',
    };
  } catch (error) {
    if (isRemitError(error, 'ERR_GATEWAY_UNREACHABLE'))
      return { name, state: 'warn' as const, what: 'is not running', hint: 'Start it with `remit up`.' };
    return { name, state: 'fail' as const, what: messageOf(error) };
  }
}
