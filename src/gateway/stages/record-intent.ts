import { hash } from 'node:crypto';
import type { Decision, Gate } from '../../domain/decision.ts';
import { type Principal, userKey } from '../../domain/principal.ts';
import type { AuditRecord } from '../../domain/record.ts';
import type { Task } from '../../domain/task.ts';
import type { GovernedTool } from '../../domain/tool.ts';
import type { Gateway } from '../gateway.ts';
import type { Operation } from '../operation.ts';
import type { Caller } from './authenticate.ts';

/** The identity fields that every record of a call carries (guarantee A2). */
export type Identity = Pick<AuditRecord, 'trace' | 'user' | 'agent' | 'actors' | 'workload' | 'task'>;

const known = new WeakMap<Principal, { readonly task: Task; readonly identity: Identity }>();

/** Once for a principal, who is the same object for as long as its token is. */
export function identityOf({ principal, task }: Caller): Identity {
  const found = known.get(principal);
  if (found?.task.trace === task.trace) return found.identity;
  const { user, agent, actors, workload } = principal;
  const identity = {
    trace: task.trace,
    ...(user && { user: userKey(user) }),
    agent,
    actors,
    workload,
    task: principal.task,
  };
  known.set(principal, { task, identity });
  return identity;
}

/**
 * Makes the decision durable, permit or deny alike, before anything follows from it (guarantee A1). The arguments are kept,
 * sealed; their digest stands in the clear, so that an approval or an investigation can refer to them.
 */
export function recordIntent(
  gateway: Gateway,
  caller: Caller,
  operation: Operation,
  decision: Decision,
): Promise<unknown> {
  const { request, method, item, argumentsText } = operation;
  const isRetry = request.params.requestState !== undefined || request.params.inputResponses !== undefined;
  return gateway.recorder.record({
    type: 'decision',
    ...identityOf(caller),
    span: operation.span,
    connector: item.connector,
    tool: item.ref,
    detail: {
      effect: operation.effect,
      method,
      verdict: decision.verdict,
      gate: decision.gate,
      policies: decision.policies,
      reason: decision.reason,
      policyVersion: decision.policyVersion,
      purpose: caller.task.purpose,
      argumentsDigest: hash('sha256', argumentsText),
      token: caller.principal.tokenId,
      ...(isRetry && { resumes: 'input_required' }),
      ...clientCallOf(request.params._meta),
    },
    input: argumentsText,
  });
}

/** The client's own id for the call, if it sends one; for the record only. */
function clientCallOf(meta: unknown): { readonly clientCallId?: string } {
  if (meta === undefined) return NO_ID;
  const id = (meta as Readonly<Record<string, unknown>> | null)?.['claudecode/toolUseId'];
  return typeof id === 'string' ? { clientCallId: id.slice(0, 128) } : NO_ID;
}

const NO_ID = {};

/** A denial for which there is no item, or none that may be told of: probing for names is worth as much on the record as a denied call. */
export function recordDenial(
  gateway: Gateway,
  caller: Caller,
  denied: {
    readonly span: string;
    readonly method: string;
    readonly rule: string;
    readonly gate?: Gate;
    readonly reason: string;
    readonly item?: GovernedTool | undefined;
  },
): Promise<unknown> {
  const { item } = denied;
  return gateway.recorder.record({
    type: 'decision',
    ...identityOf(caller),
    span: denied.span,
    ...(item && { connector: item.connector, tool: item.ref }),
    detail: {
      effect: 'call',
      method: denied.method.slice(0, 80),
      verdict: 'deny',
      gate: denied.gate ?? 'profile',
      policies: [denied.rule],
      reason: denied.reason,
    },
  });
}
