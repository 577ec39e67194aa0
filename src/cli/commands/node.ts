import type { Command } from 'commander';
import { readNodes, stateOf } from '../../compose/nodes/node-findings.ts';
import { RemitError } from '../../domain/errors.ts';
import type { SeenNode } from '../../domain/node.ts';
import { type Common, command } from '../command.ts';
import { ageText, table } from '../output.ts';
import { withWorkspace } from '../with-workspace.ts';

/** `remit node`: the gateways of one store. */
export function addNodeCommands(program: Command): void {
  const group = program.command('node').description('gateways on the same PostgreSQL store');
  command<Common>(
    group,
    'ls',
    'nodes, where they are reached, what they run, and whether one is late',
    (c) => c,
    async (output, options) => {
      await withWorkspace(options, async (workspace) => {
        if (workspace.store.shared === undefined) {
          throw new RemitError('ERR_USAGE', 'the store is one gateway’s alone', {
            where: 'store.kind',
            hint: 'Several gateways share a PostgreSQL: `store: { kind: postgres, urlVariable: … }`.',
          });
        }
        const nodes = await readNodes(workspace);
        output.result(nodes.map(viewOf), () =>
          table(
            ['NODE', 'ADDRESS', 'LIFE', 'VERSION', 'POLICIES', 'SINCE', 'STATE'],
            nodes.map((node) => [
              node.name,
              node.address === '' ? '(starting)' : node.address,
              String(node.life),
              node.version,
              node.policyVersion,
              ageText(node.joinedMs),
              stateOf(node),
            ]),
            'No gateway is running on this store.',
          ),
        );
      });
    },
  );
}

function viewOf(node: SeenNode) {
  const { name, address, life, version, policyVersion, connections, joinedAt, policyMs, leftMs } = node;
  return {
    node: name,
    address,
    life,
    version,
    policyVersion,
    connections,
    since: new Date(joinedAt).toISOString(),
    policySeconds: Math.floor(policyMs / 1000),
    secondsLeft: Math.max(0, leftMs) / 1000,
    state: stateOf(node),
  };
}
