import type { Command } from 'commander';
import { openPromptSocket } from '../../agent/prompt-socket.ts';
import { reuseSession } from '../../agent/reuse-session.ts';
import { bridgeStdio } from '../../agent/stdio-bridge.ts';
import { type Declaration, openTaskSession } from '../../agent/task-session.ts';
import { placesOf } from '../../compose/workspace.ts';
import { loadConfig } from '../../config/load-config.ts';
import { Cancellation } from '../../domain/cancellation.ts';
import { RemitError } from '../../domain/errors.ts';
import { type Common, command } from '../command.ts';
import { type AgentOptions, promptOption, readPrompt, readSessionOptions } from '../session-options.ts';

interface SessionOptions extends Common, AgentOptions {
  readonly template?: string;
  readonly purpose?: string;
  readonly promptFile?: string;
}

const sessionOptions = (c: Command): Command =>
  c
    .requiredOption('-a, --agent <name>', 'the agent that connects')
    .option('-t, --template <id>', 'the task template; left out: the only one that the agent may use')
    .option('-p, --purpose <text>', 'what this session is for; left out: the template’s purpose')
    .option('--url <url>', 'the gateway; left out: as the configuration says')
    .option('--key <file>', 'the agent’s private key; left out: as `remit agent keygen` wrote it')
    .option('--user-token-file <file>', 'the user’s own token, when the work is on a user’s behalf');

export function addConnectCommands(program: Command): void {
  command<SessionOptions>(
    program,
    'connect',
    'be a stdio MCP server for one client session: start a task, pass calls on, end the task at exit',
    (c) => promptOption(sessionOptions(c)),
    async (output, options) => {
      const opening = openTaskSession(await sessionFrom(options));
      const end = once(async () => {
        await (await opening).end();
      });
      const cancellation = new Cancellation();
      let isBridging = false;
      // From the moment that a task may have been started: one that nobody uses must not live on.
      for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
        process.once(signal, () => {
          cancellation.cancel(signal);
          if (isBridging) return; // it ends its session at the gateway, and the rest follows
          void end()
            .catch((error: Error) => output.note(`remit: ${error.message}`))
            .finally(() => process.exit(0));
        });
      }
      // Other commands leave at once when nobody reads them any more; this one has a task to end first.
      process.stdout.removeAllListeners('error');
      process.stdout.on('error', () => {});
      const session = await opening;
      output.note(`remit: task ${session.granted.task} started: ${session.granted.purpose}`);
      if (cancellation.isCancelled) return; // being ended already
      isBridging = true;
      const prompts = await openPromptSocket({
        folder: placesOf(await loadConfig(options.config)).sessions,
        agent: options.agent,
        pid: process.pid,
        take: (prompt, about) => session.notePrompt(prompt, about),
        onProblem: (message) => output.note(`remit: ${message}`),
      });
      await bridgeStdio({
        session,
        cancellation,
        input: process.stdin,
        output: process.stdout,
        onProblem: (message) => output.note(`remit: ${message}`),
      });
      await prompts?.close();
      await end().catch((error: Error) => output.note(`remit: ${error.message}`));
      process.exit(0);
    },
  );

  command<SessionOptions & { headers: boolean }>(
    program,
    'token',
    'print a task token, or with --headers the HTTP headers, for clients that take a helper command',
    (c) => sessionOptions(c).option('--headers', 'print a JSON object of headers', false),
    async (output, options) => {
      const session = await reuseSession(await sessionFrom(options), await sessionFile(options));
      const token = await session.token();
      const headers = { Authorization: `Bearer ${token}` };
      if (options.headers) process.stdout.write(`${JSON.stringify(headers)}\n`);
      else output.result({ token, task: session.granted.task, expires_at: session.granted.expires_at }, () => token);
    },
  );
}

/** What a session needs, read from the configuration and the options. */
async function sessionFrom(
  options: SessionOptions,
): Promise<Parameters<typeof openTaskSession>[0] & { task: { declare: Declaration } }> {
  const loaded = await loadConfig(options.config);
  const { config } = loaded;
  if (!Object.hasOwn(config.agents, options.agent)) {
    throw new RemitError('ERR_NOT_FOUND', `no agent is called ${options.agent}`, {
      where: loaded.path,
      hint: `Known agents: ${Object.keys(config.agents).join(', ') || 'none'}.`,
    });
  }
  const usable = Object.entries(config.templates).filter(([, template]) => template.agents.includes(options.agent));
  const template = options.template ?? (usable.length === 1 ? usable[0]?.[0] : undefined);
  if (template === undefined) {
    throw new RemitError(
      'ERR_USAGE',
      `agent ${options.agent} has ${usable.length} templates: name one with --template`,
      {
        where: loaded.path,
        hint: `Its templates: ${usable.map(([id]) => id).join(', ') || 'none; add it to one under `templates:`'}.`,
      },
    );
  }
  return {
    ...(await readSessionOptions(loaded, options)),
    task: {
      declare: {
        template,
        ...(options.purpose !== undefined && { purpose: options.purpose }),
        ...(await readPrompt(loaded, options)),
      },
    },
  };
}

async function sessionFile(options: SessionOptions): Promise<string> {
  const places = placesOf(await loadConfig(options.config));
  return places.agentKey(options.agent).replace(/\.key\.json$/, `.${options.template ?? 'default'}.session.json`);
}

function once(work: () => Promise<void>): () => Promise<void> {
  let running: Promise<void> | undefined;
  return () => {
    running ??= work();
    return running;
  };
}
