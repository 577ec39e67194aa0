import { hostText } from '../addresses.ts';
import type { Check } from '../diagnose.ts';
import type { Workspace } from '../workspace.ts';
import { readConnections } from './connections.ts';
import { isAnyAddress, nodeFindings, readNodes, stateOf } from './node-findings.ts';

/** The lines of `remit doctor` about several gateways on one store; none where it is one gateway's alone. @throws `ERR_STORE_*` */
export async function checkNodes(workspace: Workspace): Promise<Omit<Check, 'name'>[]> {
  const { shared } = workspace.store;
  if (shared === undefined) return [];
  const nodes = await readNodes(workspace);
  const findings = nodeFindings(nodes);
  const away = nodes.filter((node) => stateOf(node) !== 'here');
  const checks: Omit<Check, 'name'>[] = findings.map(({ severity, refs, text, next }) => ({
    state: severity === 'high' ? 'fail' : 'warn',
    what: `${refs.join(', ')}: ${text}`,
    hint: next,
  }));
  for (const node of away) {
    checks.push({
      state: 'warn',
      what: `node ${node.name} is ${stateOf(node)}: it has not said in time that it is there`,
      hint: 'Look at its log; the others go on with its tasks when its time is over.',
    });
  }
  const { config } = workspace;
  if (config.node.address === undefined && isAnyAddress(`http://${hostText(config.listen.host)}`)) {
    checks.push({
      state: 'warn',
      what: `listen.host is ${config.listen.host} and node.address is not set: other nodes cannot reach this one`,
      hint: 'Set node.address to a URL by which the other hosts reach it.',
    });
  }
  if (checks.length === 0) checks.push({ state: 'ok', what: `${nodes.length} on this store, all as they should be` });
  const { what, hint } = await readConnections(workspace, shared);
  checks.push(hint === undefined ? { state: 'ok', what } : { state: 'fail', what, hint });
  return checks;
}
