import type { SeenNode } from '../../domain/node.ts';
import { BEAT_MS, TTL_MS } from '../../nodes/bounds.ts';
import type { EstateFinding } from '../connectors/estate-findings.ts';
import type { Workspace } from '../workspace.ts';

/** A change of policies is everywhere within seconds. */
const POLICY_MS = 60_000;
/** An upgrade, one node after the other, is over by then. */
const UPGRADE_MS = 3_600_000;

/** Of a node: it says in time that it is there, has not for several beats, or is lost and will be buried. */
export function stateOf({ leftMs }: Pick<SeenNode, 'leftMs'>): 'here' | 'late' | 'lost' {
  if (leftMs <= 0) return 'lost';
  return leftMs < TTL_MS - 3 * BEAT_MS ? 'late' : 'here';
}

/** What is wrong among the gateways of one store. */
export function nodeFindings(nodes: readonly SeenNode[]): EstateFinding[] {
  return [...differing(nodes), ...unreachable(nodes)];
}

function differing(nodes: readonly SeenNode[]): EstateFinding[] {
  const found: EstateFinding[] = [];
  const policies = groups(nodes, ({ policyVersion }) => policyVersion);
  if (policies.size > 1 && nodes.every(({ policyMs }) => policyMs >= POLICY_MS)) {
    found.push({
      severity: 'high',
      kind: 'node_policies',
      refs: refs(nodes),
      text: `nodes decide by different policies: ${describe(policies)}`,
      next: 'Bring the same remit.yaml to every node: what one puts in force the others take, unless it names what they do not have. The trail of a node that could not says why (`policy_reload_refused`).',
    });
  }
  const versions = groups(nodes, ({ version }) => version);
  if (versions.size > 1 && nodes.every(({ joinedMs }) => joinedMs >= UPGRADE_MS)) {
    found.push({
      severity: 'medium',
      kind: 'node_versions',
      refs: refs(nodes),
      text: `nodes run different versions of Remit, and have for an hour: ${describe(versions)}`,
      next: 'Finish the upgrade, one node after the other.',
    });
  }
  return found;
}

const NEXT_ADDRESS = 'Set node.address in its remit.yaml to a URL by which the other hosts reach it.';

function unreachable(nodes: readonly SeenNode[]): EstateFinding[] {
  // Whoever has said none yet is starting.
  const placed = nodes.filter(({ address }) => address !== '');
  const found: EstateFinding[] = [];
  for (const node of placed.filter(({ address }) => isAnyAddress(address))) {
    found.push(address(node, `its address is ${node.address}, which is no place: nobody reaches it there`));
  }
  const [local, others] = [placed.filter(isLocal), placed.filter((node) => !isLocal(node))];
  if (others.length > 0) {
    for (const node of local)
      found.push(address(node, `its address is ${node.address}, on loopback, and there are nodes on other hosts`));
  }
  for (const [at, those] of groups(placed, (node) => node.address)) {
    if (those.length > 1)
      found.push(address(those, `${those.length} nodes say that they are at ${at}: what is one’s comes to another`));
  }
  return found;
}

const address = (node: SeenNode | readonly SeenNode[], text: string): EstateFinding => ({
  severity: 'high',
  kind: 'node_address',
  refs: refs([node].flat()),
  text,
  next: NEXT_ADDRESS,
});

/** An address that stands for all of a host's own. */
export const isAnyAddress = (url: string): boolean => ANY.has(new URL(url).hostname);
const ANY: ReadonlySet<string> = new Set(['0.0.0.0', '[::]']);

const isLocal = ({ address: url }: Pick<SeenNode, 'address'>): boolean =>
  /^(?:localhost|127\.[\d.]+|\[::1\])$/.test(new URL(url).hostname);

const refs = (nodes: readonly SeenNode[]): string[] => nodes.map(({ name }) => `node ${name}`);

const describe = (of: ReadonlyMap<string, readonly SeenNode[]>): string =>
  [...of].map(([what, nodes]) => `${what} at ${nodes.map(({ name }) => name).join(', ')}`).join('; ');

function groups(nodes: readonly SeenNode[], by: (node: SeenNode) => string): Map<string, SeenNode[]> {
  const found = new Map<string, SeenNode[]>();
  for (const node of nodes) found.set(by(node), [...(found.get(by(node)) ?? []), node]);
  return found;
}

/** Of those that are there; none where the store is one gateway's alone. @throws `ERR_STORE_*` */
export async function readNodes({ store, estate }: Workspace): Promise<readonly SeenNode[]> {
  return (await store.shared?.nodes.list(estate.tenant)) ?? [];
}
