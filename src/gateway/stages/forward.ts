import { isRemitError, messageOf } from '../../domain/errors.ts';
import { type Refused, refuse } from '../../domain/refusal.ts';
import type { GovernedTool } from '../../domain/tool.ts';
import type { UpstreamReply } from '../../seams/upstream.ts';
import type { Gateway } from '../gateway.ts';
import type { Caller } from './authenticate.ts';
import type { Leased } from './lease.ts';
import type { ToolCall } from './resolve.ts';

/**
 * Sends exactly what was authorised: the arguments as they were decided on, written out anew, under the tool's own name
 * (guarantee D4). Identity that a client put into `_meta` is not passed on. Never retried (guarantee I2).
 */
export async function forward(
  gateway: Gateway,
  caller: Caller,
  tool: GovernedTool,
  call: ToolCall,
  leased: Leased,
  argumentsText: string,
  signal: AbortSignal,
): Promise<UpstreamReply | Refused> {
  const { task } = caller;
  const params =
    `{"name":${JSON.stringify(tool.name)},"arguments":${argumentsText},` +
    `"_meta":{"traceparent":"00-${task.trace}-${call.span}-01"}}`;
  const timeoutMs = gateway.timeoutMs(tool.connector);
  try {
    // The lease may have taken a while: a task that ended meanwhile opens nothing. Checked in one step with `get`.
    if (gateway.tasks.get(task.id) === undefined) return ended(task.id);
    const connection = gateway.connections.get(task.id, tool.connector, leased.held);
    const upstream = connection instanceof Promise ? await connection : connection;
    if (gateway.tasks.get(task.id) === undefined) return ended(task.id);
    // Opening it may have taken a while too: a lease that was revoked meanwhile carries nothing (guarantee V2).
    if (leased.held?.isLive === false) return revoked(tool);
    return await upstream.request('tools/call', params, { signal, timeoutMs });
  } catch (error) {
    const code = isRemitError(error) ? error.code : 'ERR_INTERNAL';
    gateway.log.warn(
      { connector: tool.connector, tool: tool.ref, task: task.id, code, error: messageOf(error) },
      'the call did not come back',
    );
    return refuse({
      kind: 'unavailable',
      code,
      reason:
        code === 'ERR_CONNECTOR_TIMEOUT'
          ? `${tool.connector} did not answer within ${timeoutMs / 1000} s`
          : `${tool.connector} could not be reached or broke off`,
      nextStep: 'The call may or may not have had its effect: check before calling again.',
    });
  }
}

function revoked(tool: GovernedTool): Refused {
  return refuse({
    kind: 'unavailable',
    code: 'ERR_CREDENTIAL_REVOKE',
    reason: `the credential for ${tool.connector} was revoked before the call was sent`,
    nextStep: 'Nothing was sent. Try again; if the task goes on, it gets a new credential.',
  });
}

function ended(task: string): Refused {
  return refuse({ kind: 'unauthenticated', error: 'invalid_token', reason: `task ${task} has ended` });
}
