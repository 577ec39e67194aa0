import type { Era } from '../../domain/era.ts';
import type { JsonObject } from '../../domain/json.ts';
import type { ClientAnswer, UpstreamCall, UpstreamEvents, UpstreamReply } from '../../seams/upstream.ts';
import type { Deadlines, Timed } from './deadlines.ts';
import { answerText, type Incoming, nextRequestId, ownAnswer } from './json-rpc.ts';
import { PlainProgress, plainTokenOf } from './plain-progress.ts';
import { calledOff, protocolFault, timedOut, unsent } from './upstream-faults.ts';

/** Requests of the server that are answered within one call. */
const MOST_QUESTIONS = 100;

/** The connection that a call belongs to, as the call sees it. */
export interface CallHost {
  readonly era: Era;
  /** What the operator knows the connector by. */
  readonly where: string;
  readonly deadlines: Deadlines;
  readonly events: UpstreamEvents | undefined;
  /** Sends something that no reply depends on. */
  post(text: string): void;
}

const FAILED: ClientAnswer = { error: { code: -32603, message: 'The client could not be asked' } };

/**
 * One request under way: settled once, within its deadline, cancellable, with the way back to the client. How it is sent and where its
 * reply comes from is the subclass's.
 */
export abstract class PendingCall implements Timed {
  readonly id: number = nextRequestId();
  readonly call: UpstreamCall;
  readonly reply: Promise<UpstreamReply>;
  deadlineIndex = -1;
  deadlineTicks = 0;
  protected readonly host: CallHost;
  #resolve!: (reply: UpstreamReply) => void;
  #reject!: (error: Error) => void;
  #isSettled = false;
  #isOver = false;
  #asked = 0;
  /** Questions of the server that the client has not answered yet. */
  #open: Set<string | number> | undefined;
  #progress: PlainProgress | undefined;

  constructor(host: CallHost, call: UpstreamCall) {
    this.host = host;
    this.call = call;
    this.reply = new Promise((resolve, reject) => {
      this.#resolve = resolve;
      this.#reject = reject;
    });
    host.deadlines.start(this, call.timeoutMs);
    call.cancellation?.onCancel(this.#onCancel);
  }

  get isSettled(): boolean {
    return this.#isSettled;
  }

  /** Whether any of it may have reached the server. */
  protected get wasSent(): boolean {
    return true;
  }

  /** Makes an end of what is under way: of its transport, and where need be with a word to the server. */
  protected abstract stop(error: Error, reason: 'timeout' | 'cancelled' | undefined): void;

  onDeadline(): void {
    const { method, timeoutMs } = this.call;
    this.#giveUp(timedOut(`No reply to ${method} within ${timeoutMs} ms`, { where: this.host.where }), 'timeout');
  }

  /** A message on the stream of this call. */
  hear(message: Incoming): void {
    switch (message.kind) {
      case 'reply':
        // Another id is not ours to see, whatever stream it comes in (guarantee I1).
        if (message.id === this.id) this.succeed(message.reply);
        return;
      case 'malformed_reply':
        if (message.id === this.id) this.breakOff(this.protocol('The reply is not valid JSON-RPC'));
        return;
      case 'orphan_error':
        this.succeed({ error: message.error });
        return;
      case 'notification':
        this.hearNotification(message.method, message.params);
        return;
      case 'request':
        this.hearQuestion(message.id, message.method, message.params);
        return;
      case 'garbage':
        this.breakOff(this.protocol('The connector sent an event that is not JSON-RPC'));
    }
  }

  /** @returns whether a message was progress of this call that is written plainly, and is done with */
  hearPlain(text: string): boolean {
    const { client, progressToken } = this.call;
    if (this.#isOver || progressToken === undefined || client?.plainProgress === undefined) return false;
    this.#progress ??= new PlainProgress(progressToken);
    const members = this.#progress.read(text);
    if (members !== undefined) client.plainProgress(members);
    return members !== undefined;
  }

  /** The same for the bytes of a whole event, once a message was heard so. */
  protected hearPlainEvent(event: Buffer): boolean {
    const members = this.#isOver ? undefined : this.#progress?.readEvent(event);
    if (members !== undefined) this.call.client?.plainProgress?.(members);
    return members !== undefined;
  }

  hearNotification(method: string, params: JsonObject): void {
    if (this.#isOver) return;
    const { client, progressToken } = this.call;
    switch (method) {
      case 'notifications/progress':
        // Under another token it is about another request, perhaps another caller's (fault 32).
        if (progressToken !== undefined && params.progressToken === progressToken) client?.notify(method, params);
        return;
      case 'notifications/message':
        client?.notify(method, params);
        return;
      case 'notifications/cancelled':
        this.#close(params.requestId as string | number);
        return;
      default:
        this.host.events?.notification(method, params);
    }
  }

  hearQuestion(id: string | number, method: string, params: JsonObject): void {
    if (this.#isOver) return;
    this.#asked += 1;
    const { client } = this.call;
    if (this.host.era === 'modern') this.breakOff(this.protocol('The connector asks in an era without such questions'));
    else if (this.#asked > MOST_QUESTIONS) this.breakOff(this.protocol('The connector floods requests'));
    else if (client === undefined || method === 'ping') this.host.post(answerText(id, ownAnswer(method)));
    else {
      this.#open ??= new Set();
      this.#open.add(id);
      // The client's time is not the server's.
      this.host.deadlines.stop(this);
      client.ask(method, params).then(
        (answer) => this.#answer(id, answer),
        () => this.#answer(id, FAILED),
      );
    }
  }

  /** Ends the call with an error, and its transport with it. */
  breakOff(error: Error): void {
    this.#giveUp(error, undefined);
  }

  succeed(reply: UpstreamReply): void {
    if (this.#isSettled) return;
    this.#isSettled = true;
    // The rest of a large result is under way yet.
    if (!('resultChunks' in reply)) this.finish();
    this.#resolve(reply);
  }

  fail(error: Error): void {
    this.finish();
    if (this.#isSettled) return;
    this.#isSettled = true;
    this.#reject(this.wasSent ? error : unsent(error));
  }

  /** Nothing more is heard, and nothing more waited for. Idempotent. */
  finish(): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.host.deadlines.stop(this);
    this.call.cancellation?.offCancel(this.#onCancel);
  }

  /** Starts the time of the call anew. */
  keepAlive(): void {
    if (!this.#isOver) this.host.deadlines.start(this, this.call.timeoutMs);
  }

  protected protocol(message: string): Error {
    return protocolFault(message, { where: this.host.where });
  }

  readonly #onCancel = (reason: string): void =>
    this.#giveUp(calledOff(reason, { where: this.host.where }), 'cancelled');

  #giveUp(error: Error, reason: 'timeout' | 'cancelled' | undefined): void {
    if (this.#isOver) return;
    this.fail(error);
    this.stop(error, reason);
  }

  #answer(id: string | number, answer: ClientAnswer): void {
    // The server may have taken the question back.
    if (this.#close(id)) this.host.post(answerText(id, answer));
  }

  /** @returns whether the question was still open, in a call that is not over */
  #close(id: string | number): boolean {
    if (this.#open === undefined || !this.#open.delete(id) || this.#isOver) return false;
    if (this.#open.size === 0) this.host.deadlines.resume(this);
    return true;
  }
}

/** Gives progress that is written plainly to the call whose token it names, where nothing else says which is meant. @returns whether it was such */
export function hearPlainly(calls: Iterable<PendingCall>, text: string): boolean {
  const token = plainTokenOf(text);
  if (token === undefined) return false;
  for (const pending of calls) if (pending.call.progressToken === token) return pending.hearPlain(text);
  return false;
}
