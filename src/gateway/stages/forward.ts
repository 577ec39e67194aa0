import { isRemitError, messageOf } from '../../domain/errors.ts';
import { type Refused, refuse } from '../../domain/refusal.ts';
import type { HeldLease } from '../../leases/held-lease.ts';
import type { Upstream, UpstreamReply } from '../../seams/upstream.ts';
import { sendBridged } from '../bridge/send.ts';
import type { Gateway } from '../gateway.ts';
import type { Operation } from '../operation.ts';
import { type Caller, refuseTaskOf } from './authenticate.ts';
import { Dialogue } from './dialogue.ts';
import { paramHeadersFor } from './param-headers.ts';
import type { Needle } from './withhold-secrets.ts';

/**
 * Sends exactly what was authorised: the parameters as they were decided on, written out anew, under the item's own name
 * (guarantee D4). What a client put into `_meta` is not passed on (attack A14). Never retried (guarantee I2).
 */
export async function forward(
  gateway: Gateway,
  caller: Caller,
  operation: Operation,
  held: HeldLease | undefined,
  needles: readonly Needle[],
): Promise<UpstreamReply | Refused> {
  if (operation.reply !== undefined) return operation.reply;
  const { item, request, act } = operation;
  const { connector } = item;
  const { task } = caller;
  let isForwarded = false;
  try {
    const connection = connect(gateway, caller, operation, held);
    const upstream = connection instanceof Promise ? await connection : connection;
    // Opening it may have taken a while: a task that ended and a lease that was revoked meanwhile carry nothing (guarantee V2).
    if (gateway.tasks.get(task.id) === undefined) return refuseTaskOf(gateway, task.id);
    if (held?.isLive === false) return revoked(connector);
    if (request.cancellation.isCancelled) return calledOff(connector);
    isForwarded = true;
    if (act !== undefined) return await act(upstream);
    const dialogue = new Dialogue(gateway, caller, operation, needles);
    return await sendBridged(gateway, upstream, callOf(gateway, caller, operation, upstream, dialogue), dialogue);
  } catch (error) {
    return didNotComeBack(gateway, caller, operation, isForwarded && (act !== undefined || !isUnsent(error)), error);
  }
}

/** Checked in one step with `get`: a task that ended while its credential was being leased opens nothing. */
function connect(
  gateway: Gateway,
  { task }: Caller,
  { item, request }: Operation,
  held: HeldLease | undefined,
): Upstream | Promise<Upstream> {
  if (gateway.tasks.get(task.id) === undefined) throw new TaskEnded();
  return gateway.connections.get(task.id, item.connector, held, {
    prefer: request.era,
    clientCapabilities: request.capabilities,
  });
}

class TaskEnded extends Error {}

/** The adapter knows that nothing of the call was written. Of an `act`, which may be several, it knows that of the last one only. */
const isUnsent = (error: unknown): boolean => isRemitError(error) && error.isUnsent;

function callOf(gateway: Gateway, { task }: Caller, operation: Operation, upstream: Upstream, client: Dialogue) {
  const { request, item, params, eraParams, span } = operation;
  const isModern = upstream.era === 'modern';
  return {
    method: operation.method,
    params: upstream.era === request.era ? params + eraParams : params,
    meta: `"traceparent":"00-${task.trace}-${span}-01"`,
    timeoutMs: gateway.timeoutMs(item.connector),
    cancellation: request.cancellation,
    // Unique in the gateway; the client's own means something between it and us only (fault 32).
    progressToken: request.progressToken === undefined ? undefined : span,
    client,
    logLevel: request.logLevel,
    name: isModern ? operation.name : undefined,
    paramHeaders: isModern && item.kind === 'tool' ? paramHeadersFor(gateway, item, operation.args) : undefined,
  };
}

function didNotComeBack(
  gateway: Gateway,
  { task }: Caller,
  { item, method, request }: Operation,
  isForwarded: boolean,
  error: unknown,
): Refused {
  if (error instanceof TaskEnded) return refuseTaskOf(gateway, task.id);
  const { connector } = item;
  const code = isRemitError(error) ? error.code : 'ERR_INTERNAL';
  gateway.log.warn(
    { connector, tool: item.ref, task: task.id, method, code, error: messageOf(error) },
    isForwarded ? 'the call did not come back' : 'the call could not be sent',
  );
  if (!isForwarded) {
    if (request.cancellation.isCancelled) return calledOff(connector);
    return refuse({
      kind: 'unavailable',
      code,
      reason: `${connector} could not be reached`,
      nextStep: 'Nothing was sent. Try again; if it persists, tell the connector’s owner.',
      isForwarded,
    });
  }
  return refuse({
    kind: 'unavailable',
    code,
    reason: reasonFor(gateway, connector, code, request.cancellation.isCancelled),
    nextStep: 'The call may or may not have had its effect: check before calling again.',
    isForwarded,
  });
}

function reasonFor(
  gateway: Gateway,
  connector: Operation['item']['connector'],
  code: string,
  isCancelled: boolean,
): string {
  if (isCancelled) return `the call to ${connector} was cancelled`;
  return code === 'ERR_CONNECTOR_TIMEOUT'
    ? `${connector} did not answer within ${gateway.timeoutMs(connector) / 1000} s`
    : `${connector} could not be reached or broke off`;
}

function revoked(connector: string): Refused {
  return refuse({
    kind: 'unavailable',
    code: 'ERR_CREDENTIAL_REVOKE',
    reason: `the credential for ${connector} was revoked before the call was sent`,
    nextStep: 'Nothing was sent. Try again; if the task goes on, it gets a new credential.',
    isForwarded: false,
  });
}

function calledOff(connector: string): Refused {
  return refuse({
    kind: 'unavailable',
    code: 'ERR_CONNECTOR_UNREACHABLE',
    reason: `the call to ${connector} was cancelled before it was sent`,
    nextStep: 'Nothing was sent.',
    isForwarded: false,
  });
}
