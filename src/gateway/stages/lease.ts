import { isRemitError, messageOf } from '../../domain/errors.ts';
import { type Refused, refuse } from '../../domain/refusal.ts';
import type { GovernedTool } from '../../domain/tool.ts';
import type { HeldLease } from '../../leases/held-lease.ts';
import type { Gateway } from '../gateway.ts';
import type { Caller } from './authenticate.ts';
import { identityOf } from './record-intent.ts';
import type { ToolCall } from './resolve.ts';

/** The credential for the call; undefined where the connector needs none. The agent never sees it (guarantee L6). */
export interface Leased {
  readonly held: HeldLease | undefined;
}

export async function lease(
  gateway: Gateway,
  caller: Caller,
  tool: GovernedTool,
  call: ToolCall,
): Promise<Leased | Refused> {
  let held: HeldLease | undefined;
  try {
    const acquired = gateway.acquireLease(caller.task, tool.connector);
    held = acquired instanceof Promise ? await acquired : acquired;
  } catch (error) {
    gateway.log.error(
      { connector: tool.connector, task: caller.task.id, error: messageOf(error) },
      'no credential could be leased',
    );
    return refuse({
      kind: 'unavailable',
      code: isRemitError(error) ? error.code : 'ERR_CREDENTIAL_ISSUE',
      reason: `no credential could be leased for ${tool.connector}`,
      nextStep: 'Try again; if it persists, the connector’s owner should look at `remit doctor` and the gateway’s log.',
    });
  }
  if (held !== undefined) {
    // Durable before or with the outcome; the permission to forward rests on the decision record, which already is.
    gateway.recordLater({
      type: 'credential_used',
      ...identityOf(caller),
      span: call.span,
      connector: tool.connector,
      tool: tool.ref,
      lease: held.lease.id,
      detail: { issuer: held.lease.issuer, scope: held.lease.scope },
    });
  }
  return { held };
}
