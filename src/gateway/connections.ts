import { RemitError } from '../domain/errors.ts';
import type { ConnectorId, LeaseId, TaskId } from '../domain/ids.ts';
import type { HeldLease } from '../leases/held-lease.ts';
import { NO_CREDENTIAL, type Upstream, type UpstreamOpener } from '../seams/upstream.ts';

/**
 * Live upstream connections, one per task × connector × lease: nothing is shared between principals or credentials
 * (guarantee I1), and a connection can always be ended with the task or the lease that it serves.
 */
export interface Connections {
  /** The caller checks that the task is active in the same synchronous step, so that none is opened after `closeTask`. */
  get(task: TaskId, connector: ConnectorId, held: HeldLease | undefined): Upstream | Promise<Upstream>;
  closeTask(task: TaskId): Promise<void>;
  /** A lease was renewed: its connection takes no new call, and closes when those under way have come back. */
  retireLease(lease: LeaseId): void;
  /** A lease was revoked: its connections close at once, whatever is under way on them. */
  closeLease(lease: LeaseId): Promise<void>;
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
}

interface Entry {
  readonly task: TaskId;
  readonly lease: LeaseId | undefined;
  readonly party: string | undefined;
  readonly opening: Promise<Upstream>;
  readonly callOff: AbortController;
  live: Upstream | undefined;
  underWay: number;
  isRetired: boolean;
}

export function createConnections(options: ConnectionsOptions): Connections {
  const entries = new Map<string, Entry>();
  const retired = new Set<Entry>();

  function open(key: string, task: TaskId, connector: ConnectorId, held: HeldLease | undefined): Promise<Upstream> {
    if (entries.size + retired.size >= options.max) {
      throw new RemitError('ERR_CONNECTOR_UNREACHABLE', `all ${options.max} upstream connections are in use`, {
        where: connector,
        hint: 'End tasks that are done with, or try again when one has ended.',
      });
    }
    const { share } = options;
    const party = share?.of(task);
    if (
      share !== undefined &&
      [...entries.values(), ...retired].filter((one) => one.party === party).length >= share.max
    ) {
      throw new RemitError(
        'ERR_CONNECTOR_UNREACHABLE',
        `${party} has all of its ${share.max} upstream connections in use`,
        {
          where: connector,
          hint: 'End tasks that are done with, or try again when one has ended.',
        },
      );
    }
    const callOff = new AbortController();
    // The lease is in use for as long as the connection that carries it is open, not only while a call is under way.
    const release = held?.retain();
    const opening = options
      .opener(connector)
      .open({
        connector,
        task,
        injection: held?.injection ?? NO_CREDENTIAL,
        timeoutMs: options.timeoutMs(connector),
        signal: callOff.signal,
      })
      .then((upstream) => {
        void upstream.closed.then(drop);
        entry.live = counted(entry, upstream);
        return entry.live;
      });
    const entry: Entry = {
      task,
      lease: held?.lease.id,
      party,
      opening,
      callOff,
      live: undefined,
      underWay: 0,
      isRetired: false,
    };
    entries.set(key, entry);
    const drop = (): void => {
      if (entries.get(key) === entry) entries.delete(key);
      retired.delete(entry);
      release?.();
    };
    opening.catch(drop);
    return opening;
  }

  /** Counts the calls under way, so that a retired connection can close behind the last one. */
  function counted(entry: Entry, upstream: Upstream): Upstream {
    return {
      async request(method, params, more) {
        entry.underWay += 1;
        try {
          return await upstream.request(method, params, more);
        } finally {
          entry.underWay -= 1;
          if (entry.isRetired && entry.underWay === 0) void upstream.close();
        }
      },
      close: () => upstream.close(),
      closed: upstream.closed,
      pid: upstream.pid,
    };
  }

  async function close(entry: Entry): Promise<void> {
    // One that is still being opened, perhaps by a server that never answers, is not waited for.
    if (entry.live === undefined) entry.callOff.abort();
    const upstream = await entry.opening.catch(() => undefined);
    await upstream?.close();
  }

  async function closeWhere(condition: (entry: Entry) => boolean): Promise<void> {
    await Promise.all([...entries.values(), ...retired].filter(condition).map(close));
  }

  return {
    get(task, connector, held) {
      const key = `${task} ${connector} ${held?.lease.id ?? ''}`;
      const entry = entries.get(key);
      return entry === undefined ? open(key, task, connector, held) : (entry.live ?? entry.opening);
    },
    closeTask: (task) => closeWhere((entry) => entry.task === task),
    retireLease(lease) {
      for (const [key, entry] of entries) {
        if (entry.lease !== lease) continue;
        entries.delete(key);
        retired.add(entry);
        entry.isRetired = true;
        // After the opening: whoever waits for it has the first call under way by then.
        entry.opening.then(
          () => entry.underWay === 0 && void close(entry),
          () => {},
        );
      }
    },
    closeLease: (lease) => closeWhere((entry) => entry.lease === lease),
    closeAll: () => closeWhere(() => true),
    get size() {
      return entries.size + retired.size;
    },
  };
}
