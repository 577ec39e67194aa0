import type { Command } from 'commander';
import { reapLeases } from '../../compose/reap-leases.ts';
import { placesOf } from '../../compose/workspace.ts';
import { loadConfig } from '../../config/load-config.ts';
import type { Lease } from '../../domain/lease.ts';
import { callAdmin } from '../admin-client.ts';
import { table } from '../output.ts';
import { type Common, command } from '../program.ts';
import { withWorkspace } from '../with-workspace.ts';

export function addLeaseCommands(program: Command): void {
  const group = program.command('lease').description('downstream credentials that tasks hold');

  command<Common & { all: boolean }>(
    group,
    'ls',
    'list leases',
    (c) => c.option('--all', 'ended ones too', false),
    async (output, options) => {
      await withWorkspace(options, async (workspace) => {
        const leases = await workspace.store.leases.list(
          workspace.estate.tenant,
          options.all ? {} : { states: ['intended', 'active', 'revoking', 'lapsing'] },
        );
        output.result(leases, () =>
          table(
            ['LEASE', 'STATE', 'CONNECTOR', 'AGENT', 'TASK', 'ENDS', 'REVOCATION', 'SCOPE'],
            leases.map((lease) => [
              lease.id,
              lease.state,
              lease.connector,
              lease.agent,
              lease.task,
              endOf(lease),
              lease.revocation,
              lease.scope,
            ]),
            'No lease is alive. (`--all` shows ended ones.)',
          ),
        );
      });
    },
  );

  command<Common>(
    group,
    'revoke <lease>',
    'revoke one lease now; the task goes on, and gets a new one if it calls again',
    (c) => c,
    async (output, options, [lease = '']) => {
      const { socket } = placesOf(await loadConfig(options.config));
      const result = await callAdmin<{ state: string }>(socket, 'revoke-lease', { lease });
      output.result({ lease, ...result }, () => `${lease} is ${result.state}`);
    },
  );

  command<Common & { all: boolean }>(
    program,
    'reap',
    'revoke expired leases without a gateway: the independent second line, for a timer on another machine',
    (c) => c.option('--all', 'every lease, expired or not (no gateway may be running)', false),
    async (output, options) => {
      await withWorkspace(
        options,
        async (workspace) => {
          const reaped = await reapLeases(workspace, options.all);
          output.result(reaped, () => `${reaped.revoked} leases revoked, ${reaped.failed} failed`);
          if (reaped.failed > 0) process.exitCode = 9;
        },
        output.isJson ? 'json' : 'pretty',
      );
    },
  );
}

function endOf(lease: Lease): string {
  if (lease.endedAt !== undefined) return `ended ${new Date(lease.endedAt).toISOString()}`;
  // A static secret ends with its exception, not with us: what the scope says.
  if (lease.nativeExpiresAt === undefined)
    return lease.revocation === 'expiry_only' ? 'see scope' : new Date(lease.expiresAt).toISOString();
  return new Date(lease.nativeExpiresAt).toISOString();
}
