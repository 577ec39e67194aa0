import { isOutward, PUBLIC, type SinkKind } from '../domain/flow.ts';
import type { ConnectorId, ToolRef } from '../domain/ids.ts';
import { coversTool, type TaskTemplate } from '../domain/task.ts';
import type { ActionClass, ToolProfile } from '../domain/tool.ts';
import { fingerprint } from './fingerprint.ts';

/** A connector with what its owner has described of it. */
export interface ReachConnector {
  readonly id: ConnectorId;
  readonly owner: string;
  readonly environment: string;
  readonly zone: string;
  readonly items: ReadonlyMap<ToolRef, ToolProfile>;
}

/** One described item, as far as a reviewer has to know it. */
export interface ReachItem {
  readonly ref: ToolRef;
  readonly actionClass: ActionClass;
  readonly dataClasses: readonly string[];
  /** `unsaid`: its profile says nothing of flow, so that no rule of flow looks at it. */
  readonly trust: string;
  readonly sink: SinkKind | 'unsaid';
  readonly reversible: boolean;
}

/** What one template lets be done through the connector, and what else the same task may do. */
export interface ReachTemplate {
  readonly template: string;
  readonly owner: string;
  readonly purpose: string;
  readonly agents: readonly string[];
  readonly items: readonly ToolRef[];
  /** Resources of the connector's downstream. */
  readonly resources: readonly string[];
  readonly alongside: readonly { readonly connector: ConnectorId; readonly items: readonly ToolRef[] }[];
}

/** What one task can read at one connector and carry by an item of another one, or of the same. */
export interface ReachChain {
  readonly template: string;
  readonly from: ConnectorId;
  readonly reads: readonly string[];
  readonly isUntrusted: boolean;
  readonly by: ToolRef;
  readonly sink: ReachItem['sink'];
  /** The rule that holds it whatever the call; undefined: what it carries, and where to, decides. */
  readonly heldBy: 'remit:zone' | undefined;
}

/** A connector that what is read here can come to, over as many tasks as there are steps. */
export interface ReachStep {
  readonly connector: ConnectorId;
  readonly zone: string;
  /** From the reviewed connector on. */
  readonly path: readonly ConnectorId[];
  /** One template a step. */
  readonly templates: readonly string[];
}

/**
 * All that is reachable once a connector is (R72). By profiles and templates alone, which are upper bounds: policies, and the rules of flow but
 * for zones, look at calls and can only permit less.
 */
export interface ReachableWhole {
  readonly connector: ConnectorId;
  readonly owner: string;
  readonly environment: string;
  readonly zone: string;
  readonly items: readonly ReachItem[];
  readonly templates: readonly ReachTemplate[];
  readonly chains: readonly ReachChain[];
  readonly onward: readonly ReachStep[];
  /** `sha256:` + hex over all of it: what a review names, so that it is of this whole and no other. */
  readonly digest: string;
}

/** @returns undefined where no connector is called so */
export function reachableWhole(
  id: ConnectorId,
  connectors: ReadonlyMap<ConnectorId, ReachConnector>,
  templates: readonly TaskTemplate[],
): ReachableWhole | undefined {
  const connector = connectors.get(id);
  if (connector === undefined) return undefined;
  const reaches = [...templates]
    .sort((one, other) => (one.id < other.id ? -1 : 1))
    .map((template) => ({ template, covered: coveredBy(template, connectors) }));
  const own = reaches.filter(({ covered }) => covered.has(id));
  const { owner, environment, zone } = connector;
  const whole = {
    connector: id,
    owner,
    environment,
    zone,
    items: [...connector.items].map(([ref, profile]) => itemOf(ref, profile)).sort(byRef),
    templates: own.map(({ template, covered }) => templateOf(template, id, covered)),
    chains: own.flatMap(({ template, covered }) => chainsOf(template, id, covered, connectors)),
    onward: onwardFrom(id, reaches, connectors),
  };
  return { ...whole, digest: fingerprint(whole) };
}

type Covered = ReadonlyMap<ConnectorId, readonly ReachItem[]>;

const byRef = (one: { readonly ref: string }, other: { readonly ref: string }): number =>
  one.ref < other.ref ? -1 : 1;

/** Items that a task of a template may call, by connector. */
function coveredBy(template: TaskTemplate, connectors: ReadonlyMap<ConnectorId, ReachConnector>): Covered {
  const covered = new Map<ConnectorId, ReachItem[]>();
  for (const { id, items } of connectors.values()) {
    const mine = [...items]
      .filter(
        ([ref, { actionClass }]) =>
          coversTool(template.bounds.tools, ref) && template.bounds.actionClasses.includes(actionClass),
      )
      .map(([ref, profile]) => itemOf(ref, profile))
      .sort(byRef);
    if (mine.length > 0) covered.set(id, mine);
  }
  return covered;
}

function itemOf(ref: ToolRef, { actionClass, dataClasses, flow, reversible }: ToolProfile): ReachItem {
  const trust = flow?.trust ?? 'unsaid';
  return { ref, actionClass, dataClasses, trust, sink: flow?.sink ?? 'unsaid', reversible };
}

function templateOf(template: TaskTemplate, id: ConnectorId, covered: Covered): ReachTemplate {
  const refsOf = (connector: ConnectorId): ToolRef[] => (covered.get(connector) ?? []).map(({ ref }) => ref);
  return {
    template: template.id,
    owner: template.owner,
    purpose: template.purpose,
    agents: template.agents,
    items: refsOf(id),
    resources: template.bounds.resources.filter((name) => name.startsWith(`${id}:`)),
    alongside: [...covered.keys()]
      .filter((other) => other !== id)
      .map((connector) => ({ connector, items: refsOf(connector) })),
  };
}

/** Whether a call of it can carry something away: of a profile that does not say, whatever does more than read. */
const carries = ({ sink, actionClass }: ReachItem): boolean =>
  sink === 'unsaid' ? actionClass !== 'read' : sink !== 'none';

/** Within one task: read here and carried there, read there and carried here. What neither is sensitive nor could steer is left out. */
function chainsOf(
  template: TaskTemplate,
  id: ConnectorId,
  covered: Covered,
  connectors: ReadonlyMap<ConnectorId, ReachConnector>,
): ReachChain[] {
  const chains: ReachChain[] = [];
  for (const [from, sources] of covered) {
    const reads = [...new Set(sources.flatMap(({ dataClasses }) => dataClasses))].filter(isSensitive).sort();
    // What nobody has called trusted, nobody has vouched for.
    const isUntrusted = sources.some(({ trust }) => trust === 'untrusted' || trust === 'unsaid');
    if (reads.length === 0 && !isUntrusted) continue;
    for (const [to, items] of covered) {
      if (from !== id && to !== id) continue;
      for (const item of items.filter(carries)) {
        // Inside one system nothing leaves it.
        if (from === to && !(item.sink === 'unsaid' || isOutward(item.sink))) continue;
        const heldBy = isHeldByZone(template, item, connectors.get(from)?.zone, connectors.get(to)?.zone);
        chains.push({ template: template.id, from, reads, isUntrusted, by: item.ref, sink: item.sink, heldBy });
      }
    }
  }
  return chains;
}

const isSensitive = (dataClass: string): boolean => dataClass !== PUBLIC;

function isHeldByZone(
  { flow }: TaskTemplate,
  { sink }: ReachItem,
  from: string | undefined,
  to: string | undefined,
): ReachChain['heldBy'] {
  if (sink === 'unsaid' || from === to) return undefined;
  return flow?.crossings.includes(`${from}>${to}`) === true ? undefined : 'remit:zone';
}

/** By the shortest path: a task reads at one connector and stores at the next, where a task of another template reads on. */
function onwardFrom(
  id: ConnectorId,
  reaches: readonly { readonly template: TaskTemplate; readonly covered: Covered }[],
  connectors: ReadonlyMap<ConnectorId, ReachConnector>,
): ReachStep[] {
  const found = new Map<ConnectorId, ReachStep>();
  const here: Pick<ReachStep, 'connector' | 'path' | 'templates'> = { connector: id, path: [id], templates: [] };
  for (const queue = [here]; queue.length > 0; ) {
    const { connector: from, path, templates } = queue.shift() as typeof here;
    for (const { template, covered } of reaches) {
      if (!covered.has(from)) continue;
      for (const [to, items] of covered) {
        if (to === id || found.has(to) || !items.some(carries)) continue;
        const zone = connectors.get(to)?.zone ?? '';
        const step = { connector: to, zone, path: [...path, to], templates: [...templates, template.id] };
        found.set(to, step);
        queue.push(step);
      }
    }
  }
  return [...found.values()];
}
