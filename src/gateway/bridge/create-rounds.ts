import { RPC } from '../../domain/era.ts';
import { messageOf } from '../../domain/errors.ts';
import type { RandomBytes, TaskId } from '../../domain/ids.ts';
import { isJsonObject } from '../../domain/json.ts';
import type { Clock, Log, Schedule } from '../../seams/clock.ts';
import type { ClientRequest, ClientSide, MethodAnswer } from '../client-request.ts';
import type { Caller } from '../stages/authenticate.ts';
import { ROUND_METHODS } from './check-round.ts';
import { asksNothing, featuresOf } from './client-features.ts';
import { ParkedCall, type ParkingPlace, withClient } from './parked-call.ts';
import { requestDigest } from './request-digest.ts';
import { FOREIGN_STATE } from './request-state.ts';
import type { Rounds } from './rounds.ts';
import type { Sealer } from './sealer.ts';

export interface RoundsOptions {
  readonly sealer: Sealer;
  readonly clock: Clock;
  readonly schedule: Schedule;
  readonly random: RandomBytes;
  readonly log: Log;
  /** Calls of one task, and of all, that may wait for their clients at a time (guarantee I3). */
  readonly maxPerTask: number;
  readonly max: number;
  /** Milliseconds that a client has to come back with its answers. */
  readonly ttlMs: number;
}

/** Ours: the state was given by a node that this request did not reach. */
const ANOTHER_NODE = -31002;

export function createRounds(options: RoundsOptions): Rounds {
  const { sealer, clock, schedule, random, log, maxPerTask, max, ttlMs } = options;
  /** Parked calls by the id that is sealed into their states. */
  const parked = new Map<string, { readonly call: ParkedCall; readonly digest: string }>();
  const ids = new Map<ParkedCall, string>();
  const perTask = new Map<TaskId, Set<ParkedCall>>();

  const place: ParkingPlace = {
    schedule,
    take(call) {
      if (ids.has(call)) return true;
      const others = perTask.get(call.task);
      if (parked.size >= max || (others?.size ?? 0) >= maxPerTask) return false;
      const id = Buffer.from(random(12)).toString('hex');
      ids.set(call, id);
      parked.set(id, { call, digest: requestDigest(call.request) });
      if (others === undefined) perTask.set(call.task, new Set([call]));
      else others.add(call);
      return true;
    },
    leave(call) {
      const id = ids.get(call);
      if (id === undefined) return;
      ids.delete(call);
      parked.delete(id);
      const others = perTask.get(call.task);
      others?.delete(call);
      if (others?.size === 0) perTask.delete(call.task);
    },
    seal: (call, caller) => sealer.seal('parked', caller, { p: ids.get(call), r: call.round }, patience(call)),
    patience: (call) => patience(call),
    lost(call, answer) {
      log.info({ task: call.task }, 'a call ended while its client was being asked');
      void letGo(answer);
    },
  };

  const patience = (call: ParkedCall): number => Math.max(0, Math.min(ttlMs, call.caller.task.expiresAt - clock()));

  /** What nobody waits for is recorded all the same, and read no further. */
  async function letGo({ reply, recordOutcome }: MethodAnswer): Promise<void> {
    try {
      if ('resultChunks' in reply) for await (const _chunk of reply.resultChunks) break;
    } catch (error) {
      log.debug({ error: messageOf(error) }, 'a large result broke off while nobody read it');
    } finally {
      recordOutcome?.();
    }
  }

  function goOn(caller: Caller, request: ClientRequest, node: string, state: Readonly<Record<string, unknown>>) {
    if (node !== sealer.node) {
      return error(
        ANOTHER_NODE,
        `the call waits at gateway node ${node}, which is not this one: call again without requestState`,
      );
    }
    const found = parked.get(String(state.p));
    if (found === undefined || found.call.round !== state.r) {
      return error(RPC.invalidParams, 'this round is over: each requestState is used once. Call again without it.');
    }
    if (found.digest !== requestDigest(request)) {
      return error(RPC.invalidParams, 'a retry must repeat its request as it was: method, params and endpoint');
    }
    const { inputResponses = {} } = request.params;
    if (!isJsonObject(inputResponses)) return error(RPC.invalidParams, 'inputResponses must be an object');
    return found.call.resume(caller, request, inputResponses);
  }

  return {
    answer(caller, request, start) {
      const features = featuresOf(request.capabilities);
      if (!ROUND_METHODS.has(request.method)) {
        if (asksNothing(features)) return start(request);
        return start(withClient(request, unaskable(request.client), request.cancellation));
      }
      const { requestState } = request.params;
      if (requestState !== undefined) {
        if (typeof requestState !== 'string') return error(RPC.invalidParams, 'requestState must be a text');
        const ours = sealer.open('parked', caller, requestState);
        if (ours !== undefined) return goOn(caller, request, ours.node, ours.value);
        // A modern upstream's own state goes to it with the request.
        if (sealer.open('request_state', caller, requestState) === undefined) {
          return error(RPC.invalidParams, FOREIGN_STATE);
        }
      }
      // Nothing can be asked, so nothing will be parked.
      if (asksNothing(features)) return start(request);
      return new ParkedCall(caller, request, features, place).begin(start);
    },
    endTask(task) {
      for (const call of [...(perTask.get(task) ?? [])]) call.end('the task has ended');
    },
    closeAll() {
      for (const { call } of [...parked.values()]) call.end('the gateway stops');
    },
    get size() {
      return parked.size;
    },
  };
}

function unaskable(client: ClientSide): ClientSide {
  return {
    canAnswer: () => false,
    notify: (method, params) => client.notify(method, params),
    hearsProgress: () => client.hearsProgress?.() === true,
    ask: async () => ({
      error: { code: RPC.invalidRequest, message: 'the client cannot be asked about this request' },
    }),
  };
}

function error(code: number, message: string): Promise<MethodAnswer> {
  return Promise.resolve({ reply: { error: { code, message } } });
}
