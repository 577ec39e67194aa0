import type { Cancellation } from '../../domain/cancellation.ts';
import { RemitError } from '../../domain/errors.ts';
import { isJsonObject, type JsonObject } from '../../domain/json.ts';
import type { ErrorReply, ServerMessages, Upstream, UpstreamCall, UpstreamReply } from '../../seams/upstream.ts';
import { refuseRound } from './check-round.ts';
import { allowedFeatures, featuresOf } from './client-features.ts';
import type { BridgedTo, BridgeParts } from './send.ts';
import { failed } from './translate.ts';

/** A server that is not satisfied by then will not be. */
const MAX_ROUNDS = 10;
/** Before a retry for which the server asked nothing but to come again (2026-07-28: load shedding). */
const PAUSE_MS = 250;

/**
 * A legacy client's call to a modern upstream: each `input_required` is put to the client as questions, and the call is made again with the
 * answers and the server's own state. The upstream's time has one deadline over all rounds; the client's time does not count.
 * @returns the last reply, which asks for nothing
 * @throws as `Upstream.request`
 */
export async function askInRounds(
  gateway: BridgeParts,
  upstream: Upstream,
  call: UpstreamCall,
  to: BridgedTo,
): Promise<UpstreamReply> {
  let next = call;
  let timeoutMs = call.timeoutMs;
  for (let round = 0; ; round++) {
    const startedAt = gateway.clock();
    const reply = await (round === 0 ? upstream.request(next) : upstream.request(next).catch(throwSent));
    timeoutMs -= Math.max(0, gateway.clock() - startedAt);
    if (!('result' in reply) || reply.result.resultType !== 'input_required') {
      if (!('result' in reply) || isComplete(reply.result)) return reply;
      return failed(`${to.connector} replied with a result that this client’s protocol era does not have`);
    }
    if (round === MAX_ROUNDS) return failed(`${to.connector} still asked for input after ${MAX_ROUNDS} rounds`);
    const members = await unlessCancelled(answerRound(gateway, reply.result, call.client, to), call.cancellation);
    if (typeof members !== 'string') return members;
    // What was true when the call began may have ended while a person thought (guarantee V2).
    if (call.cancellation?.isCancelled === true || gateway.tasks.get(to.caller.task.id) === undefined) {
      return failed('the call ended while the client was being asked');
    }
    if (timeoutMs <= 0) {
      throw new RemitError('ERR_CONNECTOR_TIMEOUT', `${to.connector} took too long over ${round + 1} rounds`, {
        where: to.connector,
      });
    }
    next = { ...call, timeoutMs, params: call.params === '' ? members : `${call.params},${members}` };
  }
}

/** A later round that was not written leaves a call that was: its effect is not known. */
function throwSent(error: unknown): never {
  if (!(error instanceof RemitError) || !error.isUnsent) throw error;
  throw new RemitError(error.code, error.message, {
    cause: error,
    ...(error.where !== undefined && { where: error.where }),
  });
}

/** A client that is gone answers nothing: the call does not wait for it. */
function unlessCancelled<T>(work: Promise<T>, cancellation: Cancellation | undefined): Promise<T | ErrorReply> {
  if (cancellation === undefined) return work;
  return new Promise((resolve, reject) => {
    const stop = (): void => resolve(failed('the call was cancelled while the client was being asked'));
    cancellation.onCancel(stop);
    work.then(resolve, reject).finally(() => cancellation.offCancel(stop));
  });
}

function isComplete(result: JsonObject): boolean {
  return result.resultType === 'complete' || result.resultType === undefined;
}

/** Asks the client everything of one round. @returns what the retry adds to its params, or why there is none */
async function answerRound(
  gateway: BridgeParts,
  round: JsonObject,
  client: ServerMessages | undefined,
  to: BridgedTo,
): Promise<string | ErrorReply> {
  const { requestState } = round;
  const inputRequests = round.inputRequests ?? {};
  if (!isJsonObject(inputRequests)) return failed(`${to.connector} asked what is no question`);
  if (requestState !== undefined && typeof requestState !== 'string') {
    return failed(`${to.connector} gave a state that is no text`);
  }
  const state = requestState === undefined ? '' : `"requestState":${JSON.stringify(requestState)}`;
  const keys = Object.keys(inputRequests);
  if (keys.length === 0) {
    if (state === '') return failed(`${to.connector} asked for nothing`);
    await new Promise<void>((resolve) => void gateway.schedule(PAUSE_MS, resolve));
    return state;
  }
  const allowed = allowedFeatures(gateway.clientFeatures(to.connector));
  const refused = refuseRound(to.connector, inputRequests, featuresOf(to.request.capabilities), allowed);
  if (refused !== undefined) return refused;
  if (client === undefined) return failed(`${to.connector} asked for input, and there is nobody to ask`);
  const answers = await Promise.all(
    Object.values(inputRequests).map((asked) => {
      const { method, params } = asked as { method: string; params?: JsonObject };
      return client.ask(method, legacyQuestion(params ?? {}, gateway.newSpan));
    }),
  );
  const responses: string[] = [];
  for (const [at, answer] of answers.entries()) {
    // Declining is an answer; an error is none, and the server cannot go on without.
    if ('error' in answer) return failed(`the client did not answer ${to.connector}: ${answer.error.message}`);
    const { _meta, ...result } = answer.result;
    responses.push(`${JSON.stringify(keys[at])}:${JSON.stringify(result)}`);
  }
  return `"inputResponses":{${responses.join(',')}}${state && `,${state}`}`;
}

/** Legacy URL elicitations have an id, by which a server may say that one is done; modern ones do not, and nobody will. */
function legacyQuestion(params: JsonObject, newId: () => string): JsonObject {
  return params.mode === 'url' && params.elicitationId === undefined ? { ...params, elicitationId: newId() } : params;
}
