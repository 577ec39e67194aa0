import type { Approvals } from '../../approvals/approvals.ts';
import type { TrailState } from '../../audit/trail-state.ts';
import { messageOf } from '../../domain/errors.ts';
import type { Flow } from '../../flow/create-flow.ts';
import type { SharedPolicies } from '../policies/share-policies.ts';
import { repeat } from '../repeat.ts';
import type { RevocationControl } from '../revocation/build-revocation.ts';
import type { BuiltRisk } from '../risk/build-risk.ts';
import { type Adoption, createAdoption } from './adopt-tasks.ts';
import { buildNodes, type Nodes } from './build-nodes.ts';
import { admitByConnections } from './connections.ts';
import { throughLocks } from './through-locks.ts';

/** How often marks of the others are read, whatever notices are lost: as long as a revocation may take at most. */
const MARKS_MS = 1_000;

/** How often risk is told of and read, whatever notices are lost: within a second, with what it takes. */
const RISK_MS = 500;

export interface OpenNodes {
  /** Undefined where the store is one gateway's alone. */
  readonly nodes: Nodes | undefined;
  readonly adoption: Adoption;
  /** Joins the others, and goes on with this node's own tasks; undefined where there are no others. */
  readonly rejoin: (() => Promise<number>) | undefined;
}

type AdoptionParts = Parameters<typeof createAdoption>[0];
type NodesParts = Parameters<typeof buildNodes>[0];

/** This gateway among the others of its store, with how tasks come and go between them. */
export function openNodes(
  parts: Omit<AdoptionParts, 'ledger' | 'forgetDeviations' | 'flow' | 'state'> &
    Pick<NodesParts, 'version' | 'policyVersion' | 'recordLater'> & {
      trail: TrailState;
      flow: Flow;
      closers: (() => unknown)[];
      revocation: RevocationControl;
      approvals: Pick<Approvals, 'lookNow'>;
      risk: Pick<BuiltRisk, 'restore' | 'exchange'>;
      shared: Pick<SharedPolicies, 'lookNow'> | undefined;
    },
): OpenNodes {
  const { workspace, flow, revocation, approvals, leases, risk } = parts;
  const { log } = workspace.system;
  const adoption = createAdoption({
    ...parts,
    state: parts.trail,
    ledger: () => (nodes as Nodes).ledger,
    forgetDeviations: revocation.deviations.forgetTask,
  });
  const refresh = (): Promise<void> =>
    flow
      .refresh()
      .catch((error: unknown) => log.warn({ error: messageOf(error) }, 'marks of other nodes could not be read'));
  const exchange = (): Promise<void> =>
    risk
      .exchange()
      .catch((error: unknown) => log.warn({ error: messageOf(error) }, 'risk could not be told of or read'));
  const nodes = buildNodes({
    ...parts,
    leases: () => leases,
    ...adoption,
    onNotice(notice) {
      if (notice === 'revocation') void revocation.poll();
      else if (notice === 'approval') approvals.lookNow();
      else if (notice === 'mark') void refresh();
      else if (notice === 'policy') parts.shared?.lookNow();
      else void exchange();
    },
  });
  if (nodes === undefined) return { nodes, adoption, rejoin: undefined };
  return {
    nodes,
    adoption,
    async rejoin() {
      const owned = await nodes.join(await admitByConnections(workspace, nodes.shared));
      // What others have learnt binds here from the first call on.
      await throughLocks(() => risk.exchange());
      parts.closers.push(repeat(workspace.system.schedule, RISK_MS, exchange));
      parts.closers.push(repeat(workspace.system.schedule, MARKS_MS, refresh));
      await adoption.adopt(owned);
      return owned.length;
    },
  };
}
