import { type Command, Option } from 'commander';
import { startGateway } from '../../compose/start-gateway.ts';
import { createSystem } from '../../compose/system.ts';
import { openWorkspace } from '../../compose/workspace.ts';
import { type Common, command } from '../command.ts';
import { letYoungHeapGrow } from '../young-heap.ts';

/** `remit up`: the gateway, in the foreground, until SIGINT or SIGTERM. */
export function addUpCommand(program: Command, version: string): void {
  command<Common & { logLevel: string }>(
    program,
    'up',
    'serve agents on loopback until interrupted',
    (c) =>
      c.addOption(
        new Option('--log-level <level>', 'how much is logged')
          .choices(['debug', 'info', 'warn', 'error'])
          .default('info'),
      ),
    async (output, options) => {
      const isAtTerminal = process.stderr.isTTY === true && !output.isJson;
      const system = {
        ...createSystem({ log: output.isJson ? 'json' : 'pretty', level: options.logLevel }),
        ...(isAtTerminal && { terminal: (line: string) => output.note(line) }),
      };
      const workspace = await openWorkspace(options.config, system);
      const stopped = waitForSignal();
      let gateway: Awaited<ReturnType<typeof startGateway>>;
      try {
        gateway = await startGateway(workspace, version);
      } catch (error) {
        await workspace.close();
        throw error;
      }
      letYoungHeapGrow();
      const { url, tools, undescribed, problems, revokeOnly } = gateway;
      if (revokeOnly !== undefined) {
        if (output.isJson) {
          process.stdout.write(
            `${JSON.stringify({ event: 'revoke_only', url, pid: process.pid, reason: revokeOnly })}\n`,
          );
        }
        output.note(`Remit serves nothing (revoke-only): ${revokeOnly}`);
        output.note(
          '  credentials are being revoked; `remit audit verify` says more, `remit audit accept-damage` begins a new journal.',
        );
      } else if (output.isJson) {
        process.stdout.write(
          `${JSON.stringify({ event: 'serving', url, mcp: `${url}/mcp`, pid: process.pid, tools, undescribed, problems })}\n`,
        );
      } else {
        output.note(`Remit serves ${url}/mcp (pid ${process.pid}); ${tools} tools described, ${undescribed} not.`);
        for (const problem of problems) output.note(`  not reached: ${problem}`);
        output.note('  agents connect with `remit connect --agent NAME`; stop with Ctrl-C.');
      }
      const signal = await Promise.race([stopped, gateway.failed]);
      output.note(`stopping (${signal}): tasks’ credentials are being revoked`);
      await gateway.close();
      await workspace.close();
      if (signal === 'journal failed') process.exitCode = 7;
      else process.exitCode = 0;
      // Whatever library still holds a timer or a socket does not keep a stopped gateway alive.
      process.exit();
    },
  );
}

function waitForSignal(): Promise<string> {
  return new Promise((resolve) => {
    for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.once(signal, () => resolve(signal));
  });
}
