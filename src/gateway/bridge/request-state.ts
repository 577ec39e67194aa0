import { RPC } from '../../domain/era.ts';
import type { ConnectorId } from '../../domain/ids.ts';
import { isJsonObject } from '../../domain/json.ts';
import { type Refused, refuse } from '../../domain/refusal.ts';
import type { ClientRequest } from '../client-request.ts';
import type { Caller } from '../stages/authenticate.ts';
import { requestDigest } from './request-digest.ts';
import type { Sealer } from './sealer.ts';

/** As long as a person may think; the task may end it before. */
const TTL_MS = 3_600_000;

/**
 * Seals the `requestState` of a modern upstream: bound to principal and task, to the connector, and to the request that it was given for.
 * @throws `ERR_CONNECTOR_PROTOCOL` when it is too large
 */
export function sealRequestState(
  sealer: Sealer,
  caller: Caller,
  connector: ConnectorId,
  request: ClientRequest,
  state: string,
): string {
  return sealer.seal('request_state', caller, { c: connector, d: requestDigest(request), s: state }, TTL_MS);
}

/** The connector's own state; undefined for what it did not give for this request of this caller. */
export function unsealRequestState(
  sealer: Sealer,
  caller: Caller,
  connector: ConnectorId,
  request: ClientRequest,
): string | undefined {
  const { requestState } = request.params;
  const value =
    typeof requestState === 'string' ? sealer.open('request_state', caller, requestState)?.value : undefined;
  if (value === undefined || value.c !== connector || value.d !== requestDigest(request)) return undefined;
  return value.s as string;
}

/**
 * What a modern client's retry adds to `UpstreamCall.params`: `,"inputResponses":{…},"requestState":"…"` with the state as the connector gave
 * it, or an empty text when it is no retry.
 */
export function inputMembers(
  sealer: Sealer,
  caller: Caller,
  connector: ConnectorId,
  request: ClientRequest,
): string | Refused {
  const { inputResponses, requestState } = request.params;
  let members = '';
  if (inputResponses !== undefined) {
    if (!isJsonObject(inputResponses)) return malformed('inputResponses must be an object');
    members += `,"inputResponses":${JSON.stringify(inputResponses)}`;
  }
  if (requestState !== undefined) {
    const state = unsealRequestState(sealer, caller, connector, request);
    if (state === undefined) return malformed(FOREIGN_STATE);
    members += `,"requestState":${JSON.stringify(state)}`;
  }
  return members;
}

export const FOREIGN_STATE =
  'requestState is none that this gateway gave for this request, task and user, or its time is over. Call again without it.';

function malformed(reason: string): Refused {
  return refuse({ kind: 'malformed', rpcCode: RPC.invalidParams, reason });
}
