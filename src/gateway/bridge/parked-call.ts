import { Cancellation } from '../../domain/cancellation.ts';
import { RPC } from '../../domain/era.ts';
import type { TaskId } from '../../domain/ids.ts';
import type { JsonObject } from '../../domain/json.ts';
import { refuse } from '../../domain/refusal.ts';
import type { Schedule } from '../../seams/clock.ts';
import type { ClientAnswer, RpcError } from '../../seams/upstream.ts';
import type { ClientRequest, ClientSide, MethodAnswer, Question } from '../client-request.ts';
import type { Caller } from '../stages/authenticate.ts';
import { MAX_QUESTIONS } from './check-round.ts';
import { answersMethod, type FeatureSet, featuresOf, missingCapability, missingFeatures } from './client-features.ts';
import { modernQuestion, readResponse } from './input-responses.ts';

/** What a parked call needs of those that it is one of. */
export interface ParkingPlace {
  readonly schedule: Schedule;
  /** Takes a place; false when there is none left. Idempotent. */
  take(call: ParkedCall): boolean;
  leave(call: ParkedCall): void;
  /** State that names the call and this round of it, for the caller of this request. */
  seal(call: ParkedCall, caller: Caller): string;
  /** Milliseconds that a client has for its retry. */
  patience(call: ParkedCall): number;
  /** An answer that no client waits for. */
  lost(call: ParkedCall, answer: MethodAnswer): void;
}

/** Servers that ask several things at once do so within this time. */
const GATHER_MS = 5;
/** Notifications that are kept for the retry. */
const MAX_KEPT = 32;

interface Asked {
  readonly question: Question;
  readonly answer: (answer: ClientAnswer) => void;
}

/** The request of the client that is under way: the first one, or a retry. None while the client thinks. */
interface Waiting {
  readonly caller: Caller;
  readonly request: ClientRequest;
  readonly answer: (answer: MethodAnswer | Promise<MethodAnswer>) => void;
}

/**
 * One call of a modern client, alive over all rounds: the client side of the call below, and what a round after the other is answered from.
 */
export class ParkedCall implements ClientSide {
  readonly caller: Caller;
  /** The first one; retries repeat it. */
  readonly request: ClientRequest;
  /** Of the call itself: a request that has got its `input_required` is over, the call is not. */
  readonly cancellation = new Cancellation();
  /** Goes up with each round: a state is used once. */
  round = 0;
  readonly #place: ParkingPlace;
  readonly #asked = new Map<string, Asked>();
  #waiting: Waiting | undefined;
  #features: FeatureSet;
  #questions = 0;
  #isGathering = false;
  #isOver = false;
  #kept: { readonly method: string; readonly params: JsonObject }[] = [];
  #stopWaiting: (() => void) | undefined;
  #outcome: Promise<MethodAnswer> | undefined;

  constructor(caller: Caller, request: ClientRequest, features: FeatureSet, place: ParkingPlace) {
    this.caller = caller;
    this.request = request;
    this.#features = features;
    this.#place = place;
  }

  get task(): TaskId {
    return this.caller.task.id;
  }

  /** Begins the call. */
  begin(start: Start): Promise<MethodAnswer> {
    return new Promise((resolve) => {
      this.#wait({ caller: this.caller, request: this.request, answer: resolve });
      const outcome = start(withClient(this.request, this, this.cancellation));
      outcome.then(
        (answer) => this.#settle(outcome, answer),
        () => this.#settle(outcome, undefined),
      );
    });
  }

  /** Goes on with a retry, which has been checked to be one of this call and this round. */
  resume(caller: Caller, request: ClientRequest, responses: JsonObject): Promise<MethodAnswer> {
    this.#stopWaiting?.();
    this.#stopWaiting = undefined;
    this.round += 1;
    if (this.#outcome !== undefined) {
      this.#place.leave(this);
      return this.#outcome;
    }
    return new Promise((resolve) => {
      this.#features = featuresOf(request.capabilities);
      this.#wait({ caller, request, answer: resolve });
      const kept = this.#kept;
      this.#kept = [];
      for (const { method, params } of kept) this.notify(method, params);
      void this.#take(responses);
    });
  }

  canAnswer(method: Question['method']): boolean {
    return answersMethod(this.#features, method);
  }

  notify(method: string, params: JsonObject): void {
    const waiting = this.#waiting;
    if (waiting === undefined) {
      if (!this.#isOver && this.#kept.length < MAX_KEPT) this.#kept.push({ method, params });
      return;
    }
    const { progressToken, logLevel, client } = waiting.request;
    if (method === 'notifications/progress') {
      // The token is the one of the request that is under way now (fault 32).
      if (progressToken !== undefined) client.notify(method, { ...params, progressToken });
    } else if (method !== 'notifications/message' || logLevel !== undefined) client.notify(method, params);
  }

  hearsProgress(): boolean {
    return this.#waiting?.request.client.hearsProgress?.() === true;
  }

  ask(question: Question): Promise<ClientAnswer> {
    if (this.#isOver) return refused('the call is over');
    if (this.#asked.size >= MAX_QUESTIONS) return refused('too many questions are open');
    const missing = missingFeatures(this.#features, question.method, question.params);
    if (missing !== 0) return Promise.resolve({ error: missingCapability(missing) });
    return new Promise((resolve) => {
      this.#questions += 1;
      this.#asked.set(`question-${this.#questions}`, { question, answer: resolve });
      this.#gather();
    });
  }

  /** Ends the call below; what comes of it is still recorded. */
  end(reason: string): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#stopWaiting?.();
    this.#place.leave(this);
    for (const { answer } of this.#asked.values()) answer(refusedNow(reason));
    this.#asked.clear();
    this.cancellation.cancel(reason);
  }

  #wait(waiting: Waiting): void {
    this.#waiting = waiting;
    // A client that closes its stream has called its request off (2026-07-28), whichever one of the call it is.
    waiting.request.cancellation.onCancel((reason) => {
      if (this.#waiting === waiting) this.end(reason);
    });
  }

  /** Answers the request that is under way; none is from then on. */
  #reply(answer: MethodAnswer | Promise<MethodAnswer>): void {
    const waiting = this.#waiting;
    this.#waiting = undefined;
    waiting?.answer(answer);
  }

  #gather(): void {
    if (this.#isGathering || this.#waiting === undefined) return;
    this.#isGathering = true;
    this.#place.schedule(GATHER_MS, () => {
      this.#isGathering = false;
      this.#park();
    });
  }

  /** Puts everything that is open to the client, and waits for its retry. */
  #park(): void {
    const waiting = this.#waiting;
    if (waiting === undefined || this.#isOver) return;
    const requests: string[] = [];
    for (const [key, { question, answer }] of this.#asked) {
      // A retry may have declared less than the request before it.
      const missing = missingFeatures(this.#features, question.method, question.params);
      if (missing !== 0) this.#drop(key, answer, missingCapability(missing));
      else requests.push(`${JSON.stringify(key)}:${JSON.stringify(modernQuestion(question))}`);
    }
    if (requests.length === 0) return;
    if (!this.#place.take(this)) {
      for (const [key, { answer }] of this.#asked) {
        this.#drop(key, answer, {
          code: RPC.internal,
          message: 'too many calls wait for their clients: try again later',
        });
      }
      return;
    }
    const state = this.#place.seal(this, waiting.caller);
    const resultText = `{"resultType":"input_required","inputRequests":{${requests.join(',')}},"requestState":"${state}"}`;
    this.#stopWaiting = this.#place.schedule(this.#place.patience(this), () => {
      this.#stopWaiting = undefined;
      if (this.#outcome === undefined) this.end('the client did not come back with its answer');
      else this.#place.leave(this);
    });
    this.#reply({ reply: { result: JSON.parse(resultText) as JsonObject, resultText } });
  }

  #drop(key: string, answer: (answer: ClientAnswer) => void, error: RpcError): void {
    this.#asked.delete(key);
    answer({ error });
  }

  /** Gives the client's answers to the server, once each has been decided on; asks again for what is missing or has no shape. */
  async #take(responses: JsonObject): Promise<void> {
    const taken: { readonly asked: Asked; readonly result: JsonObject }[] = [];
    for (const [key, asked] of this.#asked) {
      const result = Object.hasOwn(responses, key) ? readResponse(asked.question.method, responses[key]) : undefined;
      if (result === undefined) continue;
      this.#asked.delete(key);
      taken.push({ asked, result });
    }
    // The task may have changed while a person thought: decided anew, and recorded (guarantee D5).
    const confirmed = await Promise.all(taken.map(({ asked }) => asked.question.confirm())).catch(() => [false]);
    if (confirmed.includes(false)) {
      for (const { asked } of taken) asked.answer(refusedNow('the answer was not passed on'));
      this.#reply({ reply: REFUSED });
      this.end('the task may no longer make this call');
      return;
    }
    for (const { asked, result } of taken) asked.answer(this.#isOver ? refusedNow('the call is over') : { result });
    if (this.#asked.size > 0) this.#gather();
  }

  #settle(outcome: Promise<MethodAnswer>, answer: MethodAnswer | undefined): void {
    const isWaiting = this.#waiting !== undefined;
    const wasOver = this.#isOver;
    this.#isOver = true;
    for (const asked of this.#asked.values()) asked.answer(refusedNow('the call is over'));
    this.#asked.clear();
    if (isWaiting || wasOver) {
      this.#stopWaiting?.();
      this.#place.leave(this);
    }
    if (isWaiting) {
      this.#reply(outcome);
      return;
    }
    this.#kept = [];
    if (answer !== undefined) this.#place.lost(this, answer);
    // Kept for the retry, until the client's time is over; what came of it is on record already.
    if (!wasOver) this.#outcome = answer === undefined ? outcome : Promise.resolve(withoutRecord(answer));
  }
}

export type Start = (request: ClientRequest) => Promise<MethodAnswer>;

/** The request with another way back to its client. Member by member: a request may be an object of any class. */
export function withClient(request: ClientRequest, client: ClientSide, cancellation: Cancellation): ClientRequest {
  return {
    era: request.era,
    protocolVersion: request.protocolVersion,
    id: request.id,
    method: request.method,
    params: request.params,
    scope: request.scope,
    capabilities: request.capabilities,
    logLevel: request.logLevel,
    progressToken: request.progressToken,
    cancellation,
    client,
    session: request.session,
    traceparent: request.traceparent,
  };
}

function withoutRecord({ reply }: MethodAnswer): MethodAnswer {
  // A large result has been let go: nobody read it, and its server cannot be kept waiting.
  if ('resultChunks' in reply) return { reply: { error: { code: RPC.internal, message: GONE } } };
  return { reply };
}

const GONE = 'the call came to its end while the client was being asked, and its result was too large to keep';

const REFUSED = refuse({
  kind: 'unavailable',
  code: 'ERR_TASK_REFUSED',
  reason: 'the task may no longer make this call',
  nextStep: 'The answer was not passed on, and the call was ended: it may have had a part of its effect.',
});

function refusedNow(message: string): ClientAnswer {
  return { error: { code: RPC.invalidRequest, message } };
}

function refused(message: string): Promise<ClientAnswer> {
  return Promise.resolve(refusedNow(message));
}
