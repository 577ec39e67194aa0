import { Cancellation } from '../domain/cancellation.ts';
import type { Era } from '../domain/era.ts';
import { RemitError } from '../domain/errors.ts';
import type { ConnectorId, LeaseId, TaskId } from '../domain/ids.ts';
import type { JsonObject } from '../domain/json.ts';
import type { HeldLease } from '../leases/held-lease.ts';
import type { Upstream, UpstreamCall, UpstreamReply, Watch } from '../seams/upstream.ts';
import type { FeatureSet } from './bridge/client-features.ts';

export const NOTHING: Watch = { lists: false, resources: [] };

/** One connection and who it is for. Counts the calls under way, so that a retired one can close behind the last. */
export class TaskConnection implements Upstream {
  readonly task: TaskId;
  readonly connector: ConnectorId;
  readonly lease: LeaseId | undefined;
  /** Carries one call and closes: there is nothing to watch on it. */
  readonly isForOneCall: boolean;
  readonly prefer: Era;
  readonly features: FeatureSet;
  readonly party: string | undefined;
  readonly callOff = new Cancellation();
  opening: Promise<Upstream> | undefined;
  live: Upstream | undefined;
  isRetired = false;
  isGone = false;
  watching: Watch = NOTHING;
  #underWay = 0;
  #told: Promise<void> = Promise.resolve();

  constructor(
    task: TaskId,
    connector: ConnectorId,
    held: Pick<HeldLease, 'lease'> | undefined,
    prefer: Era,
    features: FeatureSet,
    party: string | undefined,
  ) {
    this.task = task;
    this.connector = connector;
    this.lease = held?.lease.id;
    this.isForOneCall = held?.lease.mode === 'call';
    this.prefer = prefer;
    this.features = features;
    this.party = party;
  }

  get #upstream(): Upstream {
    if (this.live === undefined) throw new RemitError('ERR_INTERNAL', 'the connection is not open yet');
    return this.live;
  }

  get era(): Era {
    return this.#upstream.era;
  }

  get protocolVersion(): string {
    return this.#upstream.protocolVersion;
  }

  get capabilities(): JsonObject {
    return this.#upstream.capabilities;
  }

  get closed(): Promise<void> {
    return this.#upstream.closed;
  }

  get pid(): number | undefined {
    return this.#upstream.pid;
  }

  request(call: UpstreamCall): Promise<UpstreamReply> {
    const reply = this.#upstream.request(call);
    this.#underWay += 1;
    reply.then(this.#onReply, this.#onReply);
    return reply;
  }

  readonly #onReply = (): void => {
    this.#underWay -= 1;
    if (this.isRetired && this.#underWay === 0) void this.#upstream.close();
  };

  notify(method: string, params: string): void {
    this.#upstream.notify(method, params);
  }

  /** One after the other, the last wish wins: a server is never told two things at once. */
  async watch(wanted: Watch): Promise<void> {
    if (this.isForOneCall) {
      throw new RemitError(
        'ERR_CONNECTOR_UNREACHABLE',
        `${this.connector} has a credential a call: nothing can be watched`,
        {
          where: this.connector,
          hint: 'Read it again instead; its owner can choose another credential mode.',
        },
      );
    }
    if (isSame(this.watching, wanted)) return this.#told;
    this.watching = wanted;
    const told = this.#told
      .catch(() => {})
      .then(() => (this.watching === wanted && !this.isGone ? this.#upstream.watch(wanted) : undefined));
    this.#told = told;
    return told;
  }

  close(): Promise<void> {
    return this.#upstream.close();
  }

  get isIdle(): boolean {
    return this.#underWay === 0;
  }
}

function isSame(a: Watch, b: Watch): boolean {
  if (a.lists !== b.lists || a.resources.length !== b.resources.length) return false;
  const before = new Set(a.resources);
  return b.resources.every((uri) => before.has(uri));
}
