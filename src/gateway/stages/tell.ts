import type { Decision } from '../../domain/decision.ts';
import type { GovernedTool } from '../../domain/tool.ts';
import { readTraceparent, type TraceLink } from '../../domain/trace-context.ts';
import type { HeldLease } from '../../leases/held-lease.ts';
import type { ObservedCall } from '../../seams/telemetry.ts';
import type { ClientRequest } from '../client-request.ts';
import type { Gateway } from '../gateway.ts';
import type { Operation } from '../operation.ts';
import type { Caller } from './authenticate.ts';
import type { Outcome } from './observe.ts';

/** The trace that a client says it is in, by `_meta` of the request (which wins: it is about this one message) or a header of the POST. */
export function linkOf({ params, traceparent }: Pick<ClientRequest, 'params' | 'traceparent'>): TraceLink | undefined {
  const meta = params._meta as Readonly<Record<string, unknown>> | null | undefined;
  const said = meta?.traceparent ?? traceparent;
  return said === undefined ? undefined : readTraceparent(said);
}

/** Telemetry is told of a call that is over. Without telemetry, this is one comparison. */
export function tellOutcome(
  gateway: Gateway,
  caller: Caller,
  operation: Operation,
  held: HeldLease | undefined,
  outcome: Outcome,
): void {
  if (gateway.telemetry === undefined) return;
  const endedAt = gateway.clock();
  const { durationMs, status, code, problem } = outcome;
  const said = code ?? problem;
  gateway.telemetry.call({
    ...factsOf(caller, operation.request, operation),
    lease: held?.lease.id,
    verdict: 'permit',
    gate: undefined,
    status,
    code: typeof said === 'string' || typeof said === 'number' ? said : undefined,
    startedAt: endedAt - (typeof durationMs === 'number' ? durationMs : 0),
    endedAt,
  });
}

/** The same for one that was refused, where there may be no item. */
export function tellDenial(
  gateway: Gateway,
  caller: Caller,
  request: ClientRequest | undefined,
  denied: { readonly span: string; readonly method: string; readonly item?: GovernedTool | undefined },
  decision: Pick<Decision, 'verdict' | 'gate'>,
): void {
  if (gateway.telemetry === undefined) return;
  const now = gateway.clock();
  gateway.telemetry.call({
    ...factsOf(caller, request, denied),
    lease: undefined,
    verdict: decision.verdict,
    gate: decision.gate,
    status: undefined,
    code: undefined,
    startedAt: now,
    endedAt: now,
  });
}

type Facts = Omit<ObservedCall, 'lease' | 'verdict' | 'gate' | 'status' | 'code' | 'startedAt' | 'endedAt'>;

function factsOf(
  { principal, task }: Caller,
  request: ClientRequest | undefined,
  { span, method, item }: { readonly span: string; readonly method: string; readonly item?: GovernedTool | undefined },
): Facts {
  return {
    trace: task.trace,
    span,
    link: request === undefined ? undefined : linkOf(request),
    task: task.id,
    agent: principal.agent,
    method,
    item: item && { kind: item.kind, connector: item.connector, name: item.name },
    session: request?.session,
    protocolVersion: request?.protocolVersion,
    requestId: request?.id,
  };
}
