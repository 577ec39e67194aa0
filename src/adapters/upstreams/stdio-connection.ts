import type { Era } from '../../domain/era.ts';
import type { JsonObject } from '../../domain/json.ts';
import type { Schedule } from '../../seams/clock.ts';
import type { Upstream, UpstreamCall, UpstreamEvents, UpstreamReply, Watch } from '../../seams/upstream.ts';
import type { ContainedChild } from './contained-child.ts';
import type { Deadlines } from './deadlines.ts';
import type { Agreement } from './handshake.ts';
import {
  answerText,
  cancellationText,
  type Incoming,
  notificationText,
  ownAnswer,
  paramsText,
  requestText,
} from './json-rpc.ts';
import { hearPlainly } from './pending-call.ts';
import { StdioCall, type StdioCallHost } from './stdio-call.ts';
import { StdioListening } from './stdio-listening.ts';
import { StdioPipe } from './stdio-pipe.ts';
import { StdioQuestions } from './stdio-questions.ts';
import { Subscriptions } from './subscriptions.ts';
import { calledOff, protocolFault, unreachable, unsent } from './upstream-faults.ts';

export interface StdioConnectionOptions {
  readonly child: ContainedChild;
  readonly schedule: Schedule;
  readonly deadlines: Deadlines;
  readonly chance: () => number;
  readonly maxLineBytes: number;
  readonly events: UpstreamEvents | undefined;
  /** What the operator knows the connector by. */
  readonly where: string;
  /** A call has had its reply. */
  readonly onServed: () => void;
}

/**
 * JSON-RPC over the pipes of one child, in the era that was agreed on. Nothing on stdio ties what a server says to a request, so what is meant
 * for a client goes to the request that was begun last, of those that have one.
 */
export class StdioConnection implements Upstream, StdioCallHost {
  era: Era = 'legacy';
  readonly closed: Promise<void>;
  readonly where: string;
  readonly deadlines: Deadlines;
  readonly events: UpstreamEvents | undefined;
  readonly #options: StdioConnectionOptions;
  readonly #child: ContainedChild;
  readonly #pipe: StdioPipe;
  /** In the order in which they were begun. */
  readonly #calls = new Map<number, StdioCall>();
  readonly #questions: StdioQuestions;
  readonly #subscriptions = new Subscriptions(this);
  readonly #listenings = new Set<StdioListening>();
  #agreement: Agreement | undefined;
  /** Members of `_meta` that each request carries. */
  #eraMeta = '';
  #logLevel: string | undefined;
  #wanted: Watch = { lists: false, resources: [] };
  #watching: Promise<void> = Promise.resolve();
  #wasAskedToEnd = false;

  constructor(options: StdioConnectionOptions) {
    const { child, schedule, maxLineBytes, where } = options;
    this.#options = options;
    this.#child = child;
    this.closed = child.gone;
    this.where = where;
    this.deadlines = options.deadlines;
    this.events = options.events;
    this.#pipe = new StdioPipe({
      child,
      schedule,
      maxLineBytes,
      where,
      takeLine: (line) => hearPlainly(this.#calls.values(), line),
      onMessage: (message) => this.#hear(message),
      onFault: (fault) => this.#onFault(fault),
    });
    this.#questions = new StdioQuestions({
      answer: (id, answer) => this.#pipe.answer(answerText(id, answer)),
      onWaiting: (isWaiting) => this.#onWaiting(isWaiting),
    });
  }

  get protocolVersion(): string {
    return this.#agreement?.version ?? '';
  }

  get capabilities(): JsonObject {
    return this.#agreement?.capabilities ?? {};
  }

  get pid(): number {
    return this.#child.pid;
  }

  /** Whether the process has ended, or is being ended, and we did not want it to. */
  get endedUnasked(): boolean {
    return this.#pipe.fault !== undefined && !this.#wasAskedToEnd;
  }

  get hasExited(): boolean {
    return this.#pipe.hasExited;
  }

  /** Sends a first request. Followed by `agree`. @param eraMeta of the era that it is in */
  introduce(method: string, params: string, eraMeta: string, timeoutMs: number): Promise<UpstreamReply> {
    const fault = this.#pipe.fault;
    return fault === undefined
      ? this.#send({ method, params, meta: '', timeoutMs }, eraMeta).reply
      : Promise.reject(fault);
  }

  agree(era: Era, agreement: Agreement, eraMeta: string): void {
    this.era = era;
    this.#agreement = agreement;
    this.#eraMeta = eraMeta;
  }

  request(call: UpstreamCall): Promise<UpstreamReply> {
    const fault = this.#pipe.fault;
    if (fault !== undefined) return Promise.reject(unsent(fault));
    if (call.cancellation?.isCancelled === true)
      return Promise.reject(unsent(calledOff(call.cancellation.reason, { where: this.where })));
    if (call.logLevel !== undefined && this.era === 'legacy') this.#setLevel(call.logLevel, call.timeoutMs);
    return this.#send(call, this.#eraMeta).reply;
  }

  notify(method: string, params: string): void {
    const members = this.era === 'legacy' ? params : paramsText({ params, meta: '' }, this.#eraMeta).slice(1, -1);
    this.post(notificationText(method, members));
  }

  post(text: string): void {
    this.#pipe.write(text);
  }

  watch(wanted: Watch): Promise<void> {
    this.#wanted = wanted;
    this.#watching = this.#watching
      .catch(() => {})
      .then(() => (this.era === 'legacy' ? this.#subscriptions.set(wanted.resources) : this.#listen(wanted)));
    return this.#watching;
  }

  async close(): Promise<void> {
    // One that has failed before ended by its own doing.
    if (this.#pipe.fault === undefined) this.#wasAskedToEnd = true;
    this.#pipe.end(unreachable('The connection was closed', { where: this.where }));
    await this.#child.close();
  }

  forget(call: StdioCall): void {
    this.#calls.delete(call.id);
  }

  callOff({ id, call }: StdioCall, reason: string): void {
    // A handshake must not be cancelled (basic/utilities/cancellation).
    if (!this.#pipe.withdraw(id) && call.method !== 'initialize') this.post(cancellationText(id, reason));
  }

  #send(call: UpstreamCall, eraMeta: string): StdioCall {
    const pending = new StdioCall(this, call);
    this.#calls.set(pending.id, pending);
    if (this.#questions.isWaiting) this.deadlines.stop(pending);
    this.#pipe.write(requestText(pending.id, call.method, paramsText(call, eraMeta)), pending.id);
    return pending;
  }

  #hear(message: Exclude<Incoming, { kind: 'garbage' }>): void {
    switch (message.kind) {
      case 'reply': {
        const call = this.#calls.get(message.id);
        if (call !== undefined) {
          call.succeed(message.reply);
          if (this.#agreement !== undefined) this.#options.onServed();
          return;
        }
        // Another id that is not pending belongs to a request given up before.
        for (const listening of this.#listenings) if (listening.hearReply(message.id, message.reply)) return;
        return;
      }
      case 'malformed_reply': {
        const fault = protocolFault('The reply is not valid JSON-RPC', { where: this.where });
        this.#calls.get(message.id)?.breakOff(fault);
        return;
      }
      case 'orphan_error': {
        // Whose it is can be told only if there is just one.
        const [only, another] = this.#calls.values();
        if (another === undefined) only?.succeed({ error: message.error });
        return;
      }
      case 'request':
        this.#hearQuestion(message.id, message.method, message.params);
        return;
      case 'notification':
        this.#hearNotification(message.method, message.params);
    }
  }

  #hearQuestion(id: string | number, method: string, params: JsonObject): void {
    const asked = this.#agreement === undefined ? undefined : (this.#lastClient() ?? this.events);
    // 2026-07-28 has no requests of servers at all.
    if (asked === undefined || method === 'ping' || this.era === 'modern')
      this.#pipe.answer(answerText(id, ownAnswer(method)));
    else this.#questions.put(id, method, params, (name, more) => asked.ask(name, more));
  }

  #hearNotification(method: string, params: JsonObject): void {
    switch (method) {
      case 'notifications/progress':
        // Each call knows its own token; under a foreign one, nobody hears it (fault 32).
        for (const call of this.#calls.values()) call.hearNotification(method, params);
        return;
      case 'notifications/cancelled':
        this.#questions.takeBack(params.requestId);
        for (const listening of this.#listenings) listening.hearCancelled(params.requestId);
        return;
      case 'notifications/message':
        this.#hearLog(method, params);
        return;
      default:
        this.#hearChange(method, params);
    }
  }

  #hearLog(method: string, params: JsonObject): void {
    const client = this.#lastClient();
    if (client === undefined) this.events?.notification(method, params);
    else client.notify(method, params);
  }

  #hearChange(method: string, params: JsonObject): void {
    const isList = method.endsWith('/list_changed');
    const isUpdate = method === 'notifications/resources/updated';
    if (this.era === 'modern') {
      for (const listening of this.#listenings) if (listening.hear(method, params)) return;
      if (isList || isUpdate || method.startsWith('notifications/subscriptions/')) return; // of no subscription of ours
    }
    // A legacy server tells of lists whether a client wants to know or not. The gateway does: a definition may be another one now (attack A20).
    const isWanted = !isUpdate || this.#wanted.resources.length > 0;
    if (isWanted || this.era === 'modern') this.events?.notification(method, params);
  }

  #lastClient(): UpstreamCall['client'] {
    let last: UpstreamCall['client'];
    for (const { call } of this.#calls.values()) last = call.client ?? last;
    return last;
  }

  /** Who of those under way asked cannot be told, so the time of all of them stands still. */
  #onWaiting(isWaiting: boolean): void {
    for (const call of this.#calls.values()) {
      if (isWaiting) this.deadlines.stop(call);
      else this.deadlines.resume(call);
    }
  }

  /** What is written is read in this order, so the call need not wait for the reply. */
  #setLevel(level: string, timeoutMs: number): void {
    if (level === this.#logLevel || this.capabilities.logging === undefined) return;
    this.#logLevel = level;
    const params = `"level":${JSON.stringify(level)}`;
    // A server that keeps its level to itself is of use nevertheless.
    this.#send({ method: 'logging/setLevel', params, meta: '', timeoutMs }, '').reply.catch(() => {});
  }

  async #listen(wanted: Watch): Promise<void> {
    const before = [...this.#listenings];
    if (this.#pipe.fault === undefined && (wanted.lists || wanted.resources.length > 0)) {
      const listening = this.#newListening(wanted);
      this.#listenings.add(listening);
      await listening.acknowledged.finally(() => this.#drop(before));
    } else this.#drop(before);
  }

  #newListening(wanted: Watch): StdioListening {
    const { schedule, chance } = this.#options;
    return new StdioListening({
      wanted,
      where: this.where,
      send: (id, params) =>
        this.post(requestText(id, 'subscriptions/listen', paramsText({ params, meta: '' }, this.#eraMeta))),
      callOff: (id) => this.post(cancellationText(id, 'no longer wanted')),
      onNotification: (method, params) => this.events?.notification(method, params),
      schedule,
      chance,
    });
  }

  /** Those of before go when the new one is acknowledged, so that nothing is missed between the two. */
  #drop(listenings: readonly StdioListening[]): void {
    for (const listening of listenings) {
      listening.close();
      this.#listenings.delete(listening);
    }
  }

  #onFault(fault: Error): void {
    for (const call of [...this.#calls.values()]) call.breakOff(fault);
    this.#drop([...this.#listenings]);
  }
}
