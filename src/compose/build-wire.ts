import { messageOf } from '../domain/errors.ts';
import type { AgentId, ConnectorId, TaskId } from '../domain/ids.ts';
import { createRounds } from '../gateway/bridge/create-rounds.ts';
import type { Rounds } from '../gateway/bridge/rounds.ts';
import { createSealer, type Sealer } from '../gateway/bridge/sealer.ts';
import { type Connections, type ConnectionWish, createConnections } from '../gateway/connections.ts';
import { createHub, type HubOptions } from '../gateway/events/create-hub.ts';
import type { Hub } from '../gateway/events/hub.ts';
import type { Gateway } from '../gateway/gateway.ts';
import type { UpstreamOpener } from '../seams/upstream.ts';
import type { Workspace } from './workspace.ts';

/** Parked calls of one task, and of all; milliseconds that a client has to come back with its answers. */
const ROUNDS = { maxPerTask: 8, max: 512, ttlMs: 600_000 };
/** Before a connection that watched is opened anew: a server that crashes at once must not be started in a circle. */
const REWATCH_MS = 5_000;

/** What stands between the pipeline and the wire, built together because each part tells the others of ends and changes. */
export interface Wire {
  readonly connections: Connections;
  readonly hub: Hub;
  readonly sealer: Sealer;
  readonly rounds: Rounds;
  readonly clientFeatures: Gateway['clientFeatures'];
  readonly enter: Gateway['enter'];
  readonly leave: Gateway['leave'];
  /** Everything of a task that is open or waits, but for its leases (guarantee V2). */
  endTask(task: TaskId): Promise<void>;
  closeAll(): Promise<void>;
}

export interface WireParts {
  readonly workspace: Workspace;
  readonly openers: ReadonlyMap<ConnectorId, UpstreamOpener>;
  readonly timeoutMs: Gateway['timeoutMs'];
  /** @throws when a connector is suspended: nothing is opened to it */
  readonly assertServed: (connector: ConnectorId) => void;
  readonly agentOf: (task: TaskId) => AgentId | undefined;
  readonly connectorOf: HubOptions['connectorOf'];
  readonly question: HubOptions['question'];
  /** A connector said that a list of its has changed. */
  readonly onListChanged: HubOptions['onListChanged'];
  /** A connection that watched for a task is gone while its clients still listen: the work of opening another. */
  readonly rewatch: (task: TaskId, connector: ConnectorId, wish: ConnectionWish) => Promise<void>;
}

export async function buildWire(parts: WireParts): Promise<Wire> {
  const { workspace, openers, timeoutMs, agentOf } = parts;
  const { config, estate, system } = workspace;
  const { clock, random, schedule, log } = system;
  const { limits } = config;
  const clientFeatures: Gateway['clientFeatures'] = (connector) =>
    estate.connectors.get(connector)?.clientFeatures ?? [];

  const hub = createHub({
    clock,
    schedule,
    log,
    onListChanged: parts.onListChanged,
    connectorOf: parts.connectorOf,
    question: parts.question,
    onWanted: (task) => {
      connections
        .watch(task)
        .catch((error: unknown) =>
          log.warn({ task, error: messageOf(error) }, 'a connector could not be told what to watch'),
        );
    },
  });
  const connections = createConnections({
    opener: (connector) => {
      parts.assertServed(connector);
      const opener = openers.get(connector);
      if (opener === undefined) throw new Error(`no connector ${connector}`);
      return opener;
    },
    timeoutMs,
    max: limits.connections,
    // Half: an agent that is greedy, or talked into it, leaves room for the others.
    share: { of: agentOf, max: Math.ceil(limits.connections / 2) },
    clientFeatures,
    hub,
    log,
    onWatchLost: (task, connector, wish) => {
      schedule(REWATCH_MS, () => {
        if (agentOf(task) === undefined) return;
        parts
          .rewatch(task, connector, wish)
          .catch((error: unknown) =>
            log.warn({ task, connector, error: messageOf(error) }, 'subscriptions are silent until the next call'),
          );
      });
    },
  });
  const sealer = createSealer({
    key: await workspace.stateKey(),
    // New at each start: a call that was parked before is not here any more.
    node: Buffer.from(random(8)).toString('hex'),
    clock,
    random,
  });
  const rounds = createRounds({ sealer, clock, schedule, random, log, ...ROUNDS });
  /** One entry a registered agent, kept: calls come and go, agents do not. */
  const underWay = new Map<AgentId, { count: number }>();

  return {
    connections,
    hub,
    sealer,
    rounds,
    clientFeatures,
    enter(agent) {
      let calls = underWay.get(agent);
      if (calls === undefined) {
        calls = { count: 0 };
        underWay.set(agent, calls);
      }
      if (calls.count >= limits.callsPerAgent) return false;
      calls.count += 1;
      return true;
    },
    leave(agent) {
      const calls = underWay.get(agent);
      if (calls !== undefined) calls.count -= 1;
    },
    endTask(task) {
      rounds.endTask(task);
      hub.endTask(task);
      return connections.closeTask(task);
    },
    closeAll() {
      rounds.closeAll();
      hub.closeAll();
      return connections.closeAll();
    },
  };
}
