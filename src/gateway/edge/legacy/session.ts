import type { Cancellation } from '../../../domain/cancellation.ts';
import type { Era } from '../../../domain/era.ts';
import type { ConnectorId, TaskId } from '../../../domain/ids.ts';
import { isJsonObject, type JsonObject } from '../../../domain/json.ts';
import type { Principal } from '../../../domain/principal.ts';
import type { Clock } from '../../../seams/clock.ts';
import type { ClientAnswer } from '../../../seams/upstream.ts';
import type { Question } from '../../client-request.ts';
import type { Sink } from '../../events/hub.ts';
import { isWanted } from '../modern/read-envelope.ts';
import type { StreamKeeper } from '../reply.ts';
import type { SseStream } from '../sse-stream.ts';
import { EventLog } from './event-log.ts';
import { type ChannelHome, KeptChannel } from './kept-channel.ts';
import { Questions, unanswered } from './questions.ts';
import type { Sessions } from './sessions.ts';

/** GET streams that one session may have; the oldest makes room. */
const MOST_STREAMS = 4;
/** Resources that one session may be subscribed to. */
export const MOST_SUBSCRIPTIONS = 64;

const CAPABILITY_FOR = {
  'elicitation/create': 'elicitation',
  'sampling/createMessage': 'sampling',
  'roots/list': 'roots',
} as const;

export interface SessionOpening {
  readonly id: string;
  readonly principal: Principal;
  readonly scope: ConnectorId | undefined;
  readonly protocolVersion: string;
  readonly capabilities: JsonObject;
}

/**
 * What a legacy client settled with `initialize`, and what is under way for it. Bound to tenant, user, agent, task and path; never an
 * authority: whoever names it has been authenticated by its own token (guarantee I1). An idle one holds nothing but this object.
 */
export class Session implements Sink, ChannelHome, StreamKeeper {
  readonly era: Era = 'legacy';
  readonly id: string;
  readonly principal: Principal;
  readonly scope: ConnectorId | undefined;
  readonly protocolVersion: string;
  readonly capabilities: JsonObject;
  /** Least level of log messages, once the client has set one. */
  logLevel: string | undefined;
  /** Place in the order of use; kept by `Sessions`. */
  usedAt = 0;
  readonly #sessions: Sessions;
  #isEnded = false;
  #requests: Map<string | number, Cancellation> | undefined;
  #questions: Questions | undefined;
  #channels: Map<number, KeptChannel> | undefined;
  /** Its GET streams, oldest first: also those whose client may come back. */
  #outside: KeptChannel[] | undefined;
  #lastChannel = 0;
  #resources: Set<string> | undefined;
  #log: EventLog | undefined;
  #leaveHub: (() => void) | undefined;

  constructor(opening: SessionOpening, sessions: Sessions) {
    this.id = opening.id;
    this.principal = opening.principal;
    this.scope = opening.scope;
    this.protocolVersion = opening.protocolVersion;
    this.capabilities = opening.capabilities;
    this.#sessions = sessions;
  }

  get task(): TaskId {
    return this.principal.task;
  }

  get clock(): Clock {
    return this.#sessions.clock;
  }

  get isPrimed(): boolean {
    return this.protocolVersion >= '2025-11-25';
  }

  get isKept(): boolean {
    return !this.#isEnded && !this.#sessions.isDraining;
  }

  /** A request is under way, or a GET stream is open. */
  get isBusy(): boolean {
    return (this.#requests?.size ?? 0) > 0 || this.#outside?.some((channel) => channel.isLive()) === true;
  }

  /** Fault 21: bound to who it is for, not to the bytes of a token, which change at each refresh. */
  isOf(principal: Principal, scope: ConnectorId | undefined): boolean {
    const own = this.principal;
    return (
      own.task === principal.task &&
      own.agent === principal.agent &&
      own.tenant === principal.tenant &&
      own.user?.issuer === principal.user?.issuer &&
      own.user?.subject === principal.user?.subject &&
      this.scope === scope
    );
  }

  // Requests under way

  /** False when the client has one of that id under way already: its reply could not be told from the other's, and repeating is no retry (I2). */
  enter(id: string | number, cancellation: Cancellation): boolean {
    this.#requests ??= new Map();
    if (this.#requests.has(id)) return false;
    this.#requests.set(id, cancellation);
    return true;
  }

  leave(id: string | number): void {
    this.#requests?.delete(id);
  }

  /** Fault 32: only a request of this session; others are not known here. */
  cancelRequest(id: unknown, reason: string): void {
    if (typeof id === 'string' || typeof id === 'number') this.#requests?.get(id)?.cancel(reason);
  }

  // Questions to the client

  canAnswer(method: Question['method']): boolean {
    return isJsonObject(this.capabilities[CAPABILITY_FOR[method]]);
  }

  questions(): Questions {
    this.#questions ??= new Questions(this.#sessions.schedule, this.#sessions.limits.questions);
    return this.#questions;
  }

  answer(id: string | number | null, message: JsonObject): void {
    this.#questions?.answer(id, message);
  }

  // What is said outside requests

  wantsList(): boolean {
    return true;
  }

  wantsResource(uri: string): boolean {
    return this.#resources?.has(uri) === true;
  }

  resources(): Iterable<string> {
    return this.#resources ?? [];
  }

  /** Whether one more resource can be subscribed to. */
  hasRoomFor(uri: string): boolean {
    return (this.#resources?.size ?? 0) < MOST_SUBSCRIPTIONS || this.wantsResource(uri);
  }

  subscribe(uri: string): void {
    if (this.#isEnded) return;
    this.#resources ??= new Set();
    this.#resources.add(uri);
    if (this.#leaveHub === undefined) this.#leaveHub = this.#sessions.hub.add(this);
    else this.#sessions.hub.changed(this.task);
  }

  unsubscribe(uri: string): void {
    if (this.#resources?.delete(uri) !== true) return;
    this.#sessions.hub.changed(this.task);
    this.#prune();
  }

  /** A log message only from the level on that the client set; before that, all. */
  isWanted(method: string, params: JsonObject): boolean {
    return method !== 'notifications/message' || this.logLevel === undefined || isWanted(params.level, this.logLevel);
  }

  notify(method: string, params: JsonObject): void {
    if (!this.isWanted(method, params)) return;
    const json = `{"jsonrpc":"2.0","method":${JSON.stringify(method)},"params":${JSON.stringify(params)}}`;
    this.#outsideChannel()?.send(json);
  }

  /** Undefined while no GET stream is open. */
  get ask(): ((question: Question) => Promise<ClientAnswer>) | undefined {
    return this.#outside?.some((channel) => channel.isLive()) === true ? this.#askOutside : undefined;
  }

  readonly #askOutside = (question: Question): Promise<ClientAnswer> => {
    if (!this.canAnswer(question.method)) {
      return Promise.resolve(unanswered(`the client cannot be asked ${question.method}`));
    }
    return this.questions().ask(
      {
        send: (id) => {
          const channel = this.#outsideChannel();
          if (channel?.isLive() !== true) return false;
          const { method, params } = question;
          channel.send(JSON.stringify({ jsonrpc: '2.0', id, method, params }));
          return true;
        },
        withdraw: (requestId, reason) => this.notify('notifications/cancelled', { requestId, reason }),
      },
      undefined,
    );
  };

  /** Each message goes on one stream only: the newest that a client reads, else the newest that one may come back to. */
  #outsideChannel(): KeptChannel | undefined {
    return this.#outside?.findLast((channel) => channel.isLive()) ?? this.#outside?.at(-1);
  }

  // Streams

  /** For the reply to a POST that has become a stream. */
  keep(): KeptChannel {
    return this.#newChannel(true);
  }

  #newChannel(isReply: boolean): KeptChannel {
    this.#lastChannel += 1;
    const channel = new KeptChannel(this, this.#lastChannel, isReply);
    this.#channels ??= new Map();
    this.#channels.set(channel.number, channel);
    return channel;
  }

  channel(number: number): KeptChannel | undefined {
    return this.#channels?.get(number);
  }

  /**
   * Opens a GET stream from where a client says that it was, or a fresh one. A fresh one goes on with a stream whose client is gone, from what
   * was never written: nothing that was said meanwhile is missed.
   */
  open(
    stream: () => SseStream,
    until: number,
    from: { readonly number: number; readonly after: number } | undefined,
  ): KeptChannel {
    const known = from && this.channel(from.number);
    if (from !== undefined && known?.resume(stream, until, from.after) === true) return known;
    const left = this.#outside?.findLast((channel) => !channel.isLive());
    if (left?.resume(stream, until, undefined) === true) return left;
    const fresh = this.#newChannel(false);
    this.#outside ??= [];
    if (this.#outside.length >= MOST_STREAMS) this.#outside[0]?.end();
    this.#outside.push(fresh);
    fresh.resume(stream, until, undefined);
    this.#leaveHub ??= this.#sessions.hub.add(this);
    return fresh;
  }

  retryMs(): number {
    return 500 + (this.#sessions.random(1)[0] as number) * 8;
  }

  log(): EventLog {
    this.#log ??= new EventLog(this.#sessions.budgetOf(this));
    return this.#log;
  }

  changed(): void {
    this.#sessions.touch(this);
  }

  over(channel: KeptChannel): void {
    this.#channels?.delete(channel.number);
    if (channel.isReply) return;
    this.#outside = this.#outside?.filter((one) => one !== channel);
    this.#prune();
  }

  #prune(): void {
    if ((this.#outside?.length ?? 0) > 0 || (this.#resources?.size ?? 0) > 0) return;
    this.#leaveHub?.();
    this.#leaveHub = undefined;
  }

  /** From time to time: forgets what nobody came back for. */
  sweep(): void {
    this.#log?.age();
    for (const channel of [...(this.#outside ?? [])]) {
      if (channel.isLive()) continue;
      channel.sweeps += 1;
      if (channel.sweeps > 1) channel.end();
    }
  }

  /** Closes its GET streams; what a POST is being answered on goes on. */
  close(): void {
    for (const channel of [...(this.#outside ?? [])]) channel.end();
  }

  /** Lets go of what no connection waits for any more: a client cannot come back to a gateway that has stopped. */
  abandon(): void {
    for (const channel of [...(this.#channels?.values() ?? [])]) channel.abandon();
  }

  /** By `Sessions` only. */
  end(reason: string): void {
    if (this.#isEnded) return;
    this.#isEnded = true;
    for (const cancellation of [...(this.#requests?.values() ?? [])]) cancellation.cancel(reason);
    this.#questions?.endAll(reason);
    this.close();
    this.#resources = undefined;
    this.#prune();
    this.#log?.clear();
  }
}
