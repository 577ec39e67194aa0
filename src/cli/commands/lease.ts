import { type Command, InvalidArgumentError } from 'commander';
import { reapLeases, reapRepeatedly } from '../../compose/credentials/reap-leases.ts';
import { placesOf } from '../../compose/workspace.ts';
import { loadConfig } from '../../config/load-config.ts';
import { isRemitError, RemitError } from '../../domain/errors.ts';
import { connectorId, type LeaseId, leaseId, taskId } from '../../domain/ids.ts';
import { describeEnd, type ShownState, viewLease } from '../../leases/lease-view.ts';
import { callAdmin, callEveryAdmin } from '../admin-client.ts';
import { type Common, command } from '../command.ts';
import { NOT_CONFIRMED } from '../order.ts';
import { lineText, table } from '../output.ts';
import { withWorkspace } from '../with-workspace.ts';

export function addLeaseCommands(program: Command): void {
  const group = program.command('lease').description('downstream credentials that tasks hold');

  command<Common & { all: boolean; task?: string; connector?: string }>(
    group,
    'ls',
    'list leases: state, age, calls made, downstream, and when each ends',
    (c) =>
      c
        .option('--all', 'ended ones too', false)
        .option('--task <id>', 'of one task')
        .option('--connector <id>', 'at one connector'),
    async (output, options) => {
      await withWorkspace(options, async (workspace) => {
        const { task, connector } = options;
        const rows = await workspace.store.leases.list(workspace.estate.tenant, {
          ...(task !== undefined && { task: taskId(task) }),
          ...(connector !== undefined && { connector: connectorId(connector) }),
          ...(!options.all && { states: ['intended', 'active', 'revoking', 'lapsing'] }),
        });
        const counts = await countUses(workspace.places.socket);
        const views = rows.map((row) => viewLease(row, workspace.system.clock(), counts));
        if (counts === undefined && views.length > 0) output.note(NO_GATEWAY);
        output.result(views, () =>
          table(
            ['LEASE', 'STATE', 'CONNECTOR', 'FOR', 'AGENT', 'TASK', 'AGE', 'CALLS', 'DOWNSTREAM', 'REVOCATION', 'END'],
            views.map((view) => [
              view.id,
              view.state,
              view.connector,
              view.tool ?? view.mode,
              view.agent,
              view.task,
              ageText(view.ageSeconds),
              String(view.uses),
              view.downstream,
              view.revocation,
              describeEnd(view),
            ]),
            options.all === true ? 'There is no lease.' : 'No lease is alive. (`--all` shows ended ones.)',
          ),
        );
      });
    },
  );

  command<Common>(
    group,
    'show <lease>',
    'everything that is known of one lease',
    (c) => c,
    async (output, options, [lease = '']) => {
      await withWorkspace(options, async (workspace) => {
        const row = await workspace.store.leases.get(workspace.estate.tenant, leaseId(lease));
        if (row === undefined) {
          throw new RemitError('ERR_NOT_FOUND', `there is no lease ${lease}`, {
            where: lease,
            hint: '`remit lease ls --all` lists them.',
          });
        }
        const counts = await countUses(workspace.places.socket);
        const view = viewLease(row, workspace.system.clock(), counts);
        if (counts === undefined) output.note(NO_GATEWAY);
        output.result(view, () =>
          [...Object.entries(view), ['end', describeEnd(view)]]
            .filter(([, value]) => value !== undefined && value !== '')
            .map(([name, value]) => `${String(name).padEnd(16)} ${lineText(String(value))}`)
            .join('\n'),
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
      const result = await callAdmin<RevokedLease>(socket, 'revoke-lease', { lease });
      const { state, until, lastError } = result;
      output.result(
        { lease, ...result },
        () =>
          `${lease} is ${stateText(state)}${until === undefined ? '' : ` until ${until}`}${lastError === undefined ? '' : `: ${lastError}`}`,
      );
      if (state !== 'ended' && state !== 'lapsing') process.exitCode = NOT_CONFIRMED;
    },
  );

  command<Common & { all: boolean; every?: number }>(
    program,
    'reap',
    'revoke expired leases without a gateway: the independent second line, for a timer on another machine',
    (c) =>
      c
        .option('--all', 'every lease, expired or not (no gateway may be running)', false)
        .option('--every <seconds>', 'again and again until it is stopped, 1 to 3600 seconds apart', readSeconds),
    async (output, options) => {
      await withWorkspace(
        options,
        async (workspace) => {
          if (options.every !== undefined) {
            const stop = new AbortController();
            for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => stop.abort());
            await reapRepeatedly(workspace, options.all, options.every * 1000, stop.signal);
            return;
          }
          const reaped = await reapLeases(workspace, options.all);
          const { revoked, lapsing, failed } = reaped;
          output.result(
            reaped,
            () =>
              `${revoked} leases ended, ${failed} not revoked${lapsing > 0 ? `, ${lapsing} good until they lapse` : ''}`,
          );
          if (failed > 0) process.exitCode = NOT_CONFIRMED;
        },
        output.isJson ? 'json' : 'pretty',
      );
    },
  );
}

function readSeconds(text: string): number {
  const seconds = Number(text);
  if (Number.isInteger(seconds) && seconds >= 1 && seconds <= 3600) return seconds;
  throw new InvalidArgumentError('It is 1 to 3600 seconds, for example 60.');
}

interface RevokedLease {
  readonly state: ShownState;
  readonly until?: string;
  readonly lastError?: string;
}

const stateText = (state: ShownState): string => (state === 'failed' ? 'not revoked yet, and is tried on' : state);

const NO_GATEWAY = 'No gateway runs here: calls are counted as of the end of each lease.';

/** Calls made with the leases that the gateway holds; undefined where none runs on this data folder. */
async function countUses(socket: string): Promise<ReadonlyMap<LeaseId, number> | undefined> {
  try {
    const answers = await callEveryAdmin<{ uses: Readonly<Record<string, number>> }>(socket, 'lease-uses');
    return new Map(answers.flatMap(({ uses }) => Object.entries(uses)).map(([id, count]) => [leaseId(id), count]));
  } catch (error) {
    if (isRemitError(error, 'ERR_GATEWAY_UNREACHABLE')) return undefined;
    throw error;
  }
}

function ageText(seconds: number): string {
  if (seconds < 120) return `${seconds} s`;
  return seconds < 7_200 ? `${Math.floor(seconds / 60)} min` : `${Math.floor(seconds / 3_600)} h`;
}
