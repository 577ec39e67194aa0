import type { Command } from 'commander';
import type { Effects } from '../../compose/revocation/apply-revocation.ts';
import { placesOf } from '../../compose/workspace.ts';
import { loadConfig } from '../../config/load-config.ts';
import { RemitError } from '../../domain/errors.ts';
import { userKey } from '../../domain/principal.ts';
import { callAdmin } from '../admin-client.ts';
import { type Common, command, readCount } from '../command.ts';
import { leasesText, NOT_ALL_ENDED, tellIfNotConfirmed } from '../order.ts';
import { table } from '../output.ts';
import { type AgentOptions, promptOption, readPrompt, readSessionOptions } from '../session-options.ts';
import { withWorkspace } from '../with-workspace.ts';
import { addSuspensionCommands } from './suspension.ts';
import { addTaskShowCommand } from './task-show.ts';

export function addTaskCommands(program: Command): void {
  const group = program.command('task').description('pieces of work that access is granted for');

  command<
    Common &
      AgentOptions & {
        template?: string;
        parent?: string;
        purpose?: string;
        tools?: string;
        resources?: string;
        classes?: string;
        calls?: string;
        seconds?: string;
        promptFile?: string;
      }
  >(
    group,
    'start',
    'declare a task as an agent and print its first token',
    (c) =>
      promptOption(
        c
          .requiredOption('-a, --agent <name>', 'the agent')
          .option('-t, --template <id>', 'the template that bounds it')
          .option('--parent <task>', 'in place of a template: the running task that it is a part of')
          .option('-p, --purpose <text>', 'business purpose')
          .option('--classes <list>', 'action classes, comma-separated')
          .option('--tools <list>', 'tools, comma-separated')
          .option('--resources <list>', 'resources, comma-separated')
          .option('--calls <n>', 'call budget')
          .option('--seconds <n>', 'duration')
          .option('--key <file>', 'the agent’s private key')
          .option('--url <url>', 'the gateway')
          .option('--user-token-file <file>', 'the user’s own token'),
      ),
    async (output, options) => {
      if ((options.template === undefined) === (options.parent === undefined)) {
        throw new RemitError('ERR_USAGE', 'a task has a template, or a parent', {
          hint: 'Name one: --template ID, or --parent TASK.',
        });
      }
      const loaded = await loadConfig(options.config);
      const list = (text: string | undefined): string[] | undefined => text?.split(',').map((item) => item.trim());
      const { openTaskSession } = await import('../../agent/task-session.ts');
      const session = await openTaskSession({
        ...(await readSessionOptions(loaded, options)),
        task: {
          declare: {
            ...defined({ template: options.template, parent: options.parent }),
            ...(await readPrompt(loaded, options)),
            ...defined({
              purpose: options.purpose,
              actions: list(options.classes),
              tools: list(options.tools),
              resources: list(options.resources),
              budget: options.calls === undefined ? undefined : { calls: readCount('--calls', options.calls) },
              duration_seconds: options.seconds === undefined ? undefined : readCount('--seconds', options.seconds),
            }),
          },
        },
      });
      const token = await session.token();
      output.result(
        { ...session.granted, access_token: token, mcp: session.mcpUrl },
        () => `task ${session.granted.task}\n${token}`,
      );
    },
  );

  command<Common & { all: boolean }>(
    group,
    'ls',
    'list tasks',
    (c) => c.option('--all', 'ended ones too', false),
    async (output, options) => {
      await withWorkspace(options, async (workspace) => {
        const { store, estate } = workspace;
        const states = options.all ? ([undefined] as const) : (['active', 'suspended'] as const);
        const listed = await Promise.all(states.map((state) => store.tasks.list(estate.tenant, state && { state })));
        const tasks = listed.flat();
        output.result(tasks, () =>
          table(
            ['TASK', 'STATE', 'AGENT', 'USER', 'TEMPLATE', 'UNTIL', 'PURPOSE'],
            tasks.map((task) => [
              task.id,
              task.endReason ? `${task.state} (${task.endReason})` : task.state,
              task.agent,
              task.user ? userKey(task.user) : '-',
              task.template,
              new Date(task.expiresAt).toISOString(),
              task.purpose,
            ]),
            'No active or suspended task. (`--all` shows ended ones.)',
          ),
        );
      });
    },
  );

  addTaskShowCommand(group);
  addSuspensionCommands(group, 'task', 'its calls are refused and its credentials revoked, its time goes on');

  command<Common>(
    group,
    'end <task>',
    'end a task: its tokens are refused, its credentials revoked, its processes ended',
    (c) => c,
    async (output, options, [task = '']) => {
      const { socket } = placesOf(await loadConfig(options.config));
      const done = await callAdmin<{ ended: boolean; leases?: Effects['leases'] }>(socket, 'end-task', { task });
      output.result({ task, ...done }, () => {
        const { ended, leases } = done;
        const left = leases === undefined ? [NOT_ALL_ENDED] : leasesText(leases);
        return [ended ? `${task} has ended` : `${task} had ended already`, ...left].join('\n');
      });
      tellIfNotConfirmed(done.leases);
    },
  );
}

/** Without the members that are undefined. */
function defined<T extends object>(value: T): { [K in keyof T]?: Exclude<T[K], undefined> } {
  return Object.fromEntries(Object.entries(value).filter(([, member]) => member !== undefined)) as {
    [K in keyof T]?: Exclude<T[K], undefined>;
  };
}
