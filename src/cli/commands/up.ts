import { type Command, InvalidArgumentError, Option } from 'commander';
import { createSystem, type System } from '../../compose/system.ts';
import { MOST_WORKERS } from '../../compose/workers/worker.ts';
import { type Common, command } from '../command.ts';
import type { Output } from '../output.ts';
import { serve } from '../serve.ts';
import { isWorker, serveAsWorker, upWithWorkers } from '../workers.ts';

interface UpOptions extends Common {
  readonly logLevel: string;
  readonly workers?: number;
}

/** `remit up`: the gateway, in the foreground, until SIGINT or SIGTERM. */
export function addUpCommand(program: Command, version: string): void {
  command<UpOptions>(
    program,
    'up',
    'serve agents on loopback until interrupted',
    (c) =>
      c
        .addOption(
          new Option('--log-level <level>', 'how much is logged')
            .choices(['debug', 'info', 'warn', 'error'])
            .default('info'),
        )
        .option(
          '--workers <n>',
          'processes that share the port, each a node of its own; needs PostgreSQL',
          readWorkers,
        ),
    async (output, options) => {
      const system = systemFor(output, options.logLevel);
      if (isWorker()) await serveAsWorker(options.config, system, version);
      else if (options.workers !== undefined) await upWithWorkers(output, options.config, options.workers, system);
      else await serve(output, options.config, system, version);
      // Whatever library still holds a timer or a socket does not keep a stopped gateway alive.
      process.exit();
    },
  );
}

function systemFor(output: Output, level: string): System {
  const isAtTerminal = process.stderr.isTTY === true && !output.isJson;
  return {
    ...createSystem({ log: output.isJson ? 'json' : 'pretty', level }),
    ...(isAtTerminal && { terminal: (line: string) => output.note(line) }),
  };
}

function readWorkers(text: string): number {
  const count = Number(text);
  if (/^\d{1,3}$/.test(text) && count >= 1 && count <= MOST_WORKERS) return count;
  throw new InvalidArgumentError(`It is 1 to ${MOST_WORKERS}: the processors that this host has are a good number.`);
}
