import type { Era } from '../domain/era.ts';
import { messageOf, RemitError } from '../domain/errors.ts';
import type { ConnectorId, LeaseId, TaskId } from '../domain/ids.ts';
import type { JsonObject } from '../domain/json.ts';
import type { HeldLease } from '../leases/held-lease.ts';
import type { Log } from '../seams/clock.ts';
import { NO_CREDENTIAL, type Upstream, type UpstreamOpener } from '../seams/upstream.ts';
import {
  allowedFeatures,
  capabilitiesOf,
  type FeatureSet,
  featuresOf,
  hearsOfRoots,
} from './bridge/client-features.ts';
import type { Hub } from './events/hub.ts';
import type { ClientFeature } from './gateway.ts';
import { needlesOf } from './stages/withhold-secrets.ts';
import { NOTHING, TaskConnection } from './task-connection.ts';

/** What a caller needs of a connection. */
export interface ConnectionWish {
  /** Era of the client: a server that speaks both is spoken to in that one. */
  readonly prefer: Era;
  /** As the client declared them; what the connector's owner does not allow is left out. */
  readonly clientCapabilities: JsonObject;
}

/**
 * Live upstream connections, one per task × connector × lease × era × what the client can be asked: nothing is shared between principals or
 * credentials (guarantee I1), a server that may ask is not put before a client that cannot answer, and a connection can always be ended with
 * the task or the lease that it serves.
 */
export interface Connections {
  /**
   * The caller checks that the task is active in the same synchronous step, so that none is opened after `closeTask`.
   * @throws `ERR_CONNECTOR_UNREACHABLE` when all connections are in use (fault 20), and as `UpstreamOpener.open`
   */
  get(
    task: TaskId,
    connector: ConnectorId,
    held: HeldLease | undefined,
    wish: ConnectionWish,
  ): Upstream | Promise<Upstream>;
  /**
   * Tells the connections of a task what to watch, as the hub has it now. One connection a connector watches, so that nothing is heard twice.
   * @throws what the first server that refused gave
   */
  watch(task: TaskId): Promise<void>;
  /** Sends a notification to every live connection of a task; `params` as in `UpstreamCall`. */
  notifyTask(task: TaskId, method: string, params: string): void;
  closeTask(task: TaskId): Promise<void>;
  /** A lease was renewed: its connection takes no new call, and closes when those under way have come back. */
  retireLease(lease: LeaseId): void;
  /** A lease was revoked: its connections close at once, whatever is under way on them. */
  closeLease(lease: LeaseId): Promise<void>;
  /** A connector is suspended: its connections close at once, of whatever task. */
  closeConnector(connector: ConnectorId): Promise<void>;
  closeAll(): Promise<void>;
  readonly size: number;
}

export interface ConnectionsOptions {
  readonly opener: (connector: ConnectorId) => UpstreamOpener;
  readonly timeoutMs: (connector: ConnectorId) => number;
  /** Bound on connections, and so on children, of the whole gateway (guarantee I3). */
  readonly max: number;
  /** Bound on those of one party, so that it cannot take them all; `of` names the party that a task belongs to. */
  readonly share?: { readonly of: (task: TaskId) => string | undefined; readonly max: number };
  /** What a connector's server may ask clients for; absent: nothing (attack A43). */
  readonly clientFeatures?: (connector: ConnectorId) => readonly ClientFeature[];
  /** Absent: what servers say outside requests is not heard. */
  readonly hub?: Pick<Hub, 'eventsFor' | 'wanted'>;
  readonly log?: Log;
  /** The connection that watched for a task is gone, and there is still something to watch: whoever can get a lease opens another. */
  readonly onWatchLost?: (task: TaskId, connector: ConnectorId, wish: ConnectionWish) => void;
}

export function createConnections(options: ConnectionsOptions): Connections {
  /** Those that take calls, by task: a handful each, so that finding one is a few comparisons. */
  const tasks = new Map<TaskId, TaskConnection[]>();
  const all = new Set<TaskConnection>();
  const allowed = new Map<ConnectorId, FeatureSet>();

  function allowedOf(connector: ConnectorId): FeatureSet {
    let set = allowed.get(connector);
    if (set === undefined) {
      set = allowedFeatures(options.clientFeatures?.(connector) ?? []);
      allowed.set(connector, set);
    }
    return set;
  }

  function open(entry: TaskConnection, held: HeldLease | undefined): Promise<Upstream> {
    const { task, connector } = entry;
    // The lease is in use for as long as the connection that carries it is open, not only while a call is under way.
    const release = held?.retain();
    const drop = (): void => {
      if (entry.isGone) return;
      entry.isGone = true;
      takeOut(entry);
      all.delete(entry);
      release?.();
      rewatch(entry);
    };
    let opened: Promise<Upstream>;
    try {
      opened = options.opener(connector).open({
        connector,
        task,
        injection: held?.injection ?? NO_CREDENTIAL,
        timeoutMs: options.timeoutMs(connector),
        cancellation: entry.callOff,
        prefer: entry.prefer,
        clientCapabilities: capabilitiesOf(entry.features),
        events: options.hub?.eventsFor(task, connector, needlesOf(held)),
      });
    } catch (error) {
      drop();
      throw error;
    }
    const opening = opened.then((upstream) => {
      entry.live = upstream;
      void upstream.closed.then(drop);
      watchTask(task).catch((error: unknown) => noteRefusal(entry, error));
      return entry;
    });
    opening.catch(drop);
    return opening;
  }

  function takeOut(entry: TaskConnection): void {
    const entries = tasks.get(entry.task);
    const at = entries?.indexOf(entry) ?? -1;
    if (entries === undefined || at === -1) return;
    entries.splice(at, 1);
    if (entries.length === 0) tasks.delete(entry.task);
  }

  function checkBounds(connector: ConnectorId, party: string | undefined): void {
    const { share, max } = options;
    if (all.size >= max) throw busy(connector, `all ${max} upstream connections are in use`);
    if (share === undefined) return;
    let taken = 0;
    for (const entry of all) if (entry.party === party) taken += 1;
    if (taken >= share.max) throw busy(connector, `${party} has all of its ${share.max} upstream connections in use`);
  }

  /** One live connection a connector watches; if it is gone, another one takes its place. */
  async function watchTask(task: TaskId): Promise<void> {
    const { hub } = options;
    if (hub === undefined) return;
    const chosen = new Map<ConnectorId, TaskConnection>();
    for (const entry of tasks.get(task) ?? []) {
      if (entry.live === undefined || entry.isForOneCall) continue;
      const other = chosen.get(entry.connector);
      if (other === undefined || (other.watching === NOTHING && entry.watching !== NOTHING)) {
        chosen.set(entry.connector, entry);
      }
    }
    await Promise.all([...chosen.values()].map((entry) => entry.watch(hub.wanted(task, entry.connector))));
  }

  function rewatch(gone: TaskConnection): void {
    const { task, connector, prefer, features, watching } = gone;
    if (watching === NOTHING || options.hub === undefined) return;
    gone.watching = NOTHING;
    watchTask(task).catch((error: unknown) => noteRefusal(gone, error));
    const { lists, resources } = options.hub.wanted(task, connector);
    const isWatched = tasks.get(task)?.some((entry) => entry.connector === connector) ?? false;
    if (isWatched || (!lists && resources.length === 0)) return;
    options.onWatchLost?.(task, connector, { prefer, clientCapabilities: capabilitiesOf(features) });
  }

  function noteRefusal({ task, connector }: TaskConnection, error: unknown): void {
    options.log?.warn({ task, connector, error: messageOf(error) }, 'a connector refused to be watched');
  }

  async function close(entry: TaskConnection): Promise<void> {
    // One that is still being opened, perhaps by a server that never answers, is not waited for.
    if (entry.live === undefined) entry.callOff.cancel('the connection is no longer needed');
    const upstream = await entry.opening?.catch(() => undefined);
    await upstream?.close();
  }

  async function closeWhere(condition: (entry: TaskConnection) => boolean): Promise<void> {
    await Promise.all([...all].filter(condition).map(close));
  }

  return {
    get(task, connector, held, wish) {
      const features = featuresOf(wish.clientCapabilities) & allowedOf(connector);
      const lease = held?.lease.id;
      let entries = tasks.get(task);
      if (entries !== undefined) {
        for (const entry of entries) {
          if (
            entry.connector === connector &&
            entry.lease === lease &&
            entry.features === features &&
            entry.prefer === wish.prefer
          ) {
            return entry.live === undefined ? (entry.opening as Promise<Upstream>) : entry;
          }
        }
      }
      const party = options.share?.of(task);
      checkBounds(connector, party);
      const entry = new TaskConnection(task, connector, held, wish.prefer, features, party);
      entries = tasks.get(task) ?? [];
      entries.push(entry);
      tasks.set(task, entries);
      all.add(entry);
      entry.opening = open(entry, held);
      return entry.opening;
    },
    watch: watchTask,
    notifyTask(task, method, params) {
      for (const entry of tasks.get(task) ?? []) {
        if (entry.live === undefined) continue;
        if (method === 'notifications/roots/list_changed' && !hearsOfRoots(entry.features)) continue;
        entry.notify(method, params);
      }
    },
    closeTask: (task) => closeWhere((entry) => entry.task === task),
    retireLease(lease) {
      for (const entry of all) {
        if (entry.lease !== lease || entry.isRetired) continue;
        entry.isRetired = true;
        takeOut(entry);
        // After the opening: whoever waits for it has the first call under way by then.
        entry.opening?.then(
          () => entry.isIdle && void close(entry),
          () => {},
        );
      }
    },
    closeLease: (lease) => closeWhere((entry) => entry.lease === lease),
    closeConnector: (connector) => closeWhere((entry) => entry.connector === connector),
    closeAll: () => closeWhere(() => true),
    get size() {
      return all.size;
    },
  };
}

function busy(connector: ConnectorId, message: string): RemitError {
  return new RemitError('ERR_CONNECTOR_UNREACHABLE', message, {
    where: connector,
    hint: 'End tasks that are done with, or try again when one has ended.',
  });
}
