import { hash } from 'node:crypto';
import type { Decision } from '../../domain/decision.ts';
import { userKey } from '../../domain/principal.ts';
import type { AuditRecord } from '../../domain/record.ts';
import type { GovernedTool } from '../../domain/tool.ts';
import type { Gateway } from '../gateway.ts';
import type { Caller } from './authenticate.ts';
import type { ToolCall } from './resolve.ts';

/** The identity fields that every record of a call carries (guarantee A2). */
export type Identity = Pick<AuditRecord, 'trace' | 'user' | 'agent' | 'actors' | 'workload' | 'task'>;

export function identityOf({ principal, task }: Caller): Identity {
  return {
    trace: task.trace,
    ...(principal.user && { user: userKey(principal.user) }),
    agent: principal.agent,
    actors: principal.actors,
    workload: principal.workload,
    task: principal.task,
  };
}

/**
 * Makes the decision durable, permit or deny alike, before anything follows from it (guarantee A1). The arguments are kept,
 * sealed; their digest stands in the clear, so that an approval or an investigation can refer to them.
 */
export async function recordIntent(
  gateway: Gateway,
  caller: Caller,
  tool: GovernedTool,
  call: ToolCall,
  decision: Decision,
  argumentsText: string,
): Promise<void> {
  await gateway.recorder.record({
    type: 'decision',
    ...identityOf(caller),
    span: call.span,
    connector: tool.connector,
    tool: tool.ref,
    detail: {
      effect: 'call',
      verdict: decision.verdict,
      gate: decision.gate,
      policies: decision.policies,
      reason: decision.reason,
      policyVersion: decision.policyVersion,
      purpose: caller.task.purpose,
      argumentsDigest: hash('sha256', argumentsText),
      token: caller.principal.tokenId,
      ...(call.clientCallId !== undefined && { clientCallId: call.clientCallId }),
    },
    input: argumentsText,
  });
}

/** Probing for names is worth as much on the record as a denied call. */
export async function recordUnknownTool(gateway: Gateway, caller: Caller, call: ToolCall): Promise<void> {
  await gateway.recorder.record({
    type: 'decision',
    ...identityOf(caller),
    span: call.span,
    detail: {
      effect: 'call',
      verdict: 'deny',
      gate: 'profile',
      policies: ['remit:unknown-tool'],
      reason: `no tool is called ${call.exposedName.slice(0, 80)}`,
    },
  });
}
