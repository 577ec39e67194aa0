import type { Decision } from '../../domain/decision.ts';
import type { CallRisk } from '../../domain/risk.ts';
import type { FlowFacts } from '../../flow/create-flow.ts';
import { originsOf } from '../../flow/origins-of.ts';
import { checkBudget } from '../../policy/task-gate.ts';
import type { Gateway } from '../gateway.ts';
import type { Operation } from '../operation.ts';
import type { Caller } from './authenticate.ts';
import { judgeCanary } from './canary.ts';
import { admitFlow, factsOf, judgeFlow } from './flow.ts';
import { judgeHandles } from './handles.ts';
import { judgeRisk, learnUse, riskOf } from './risk.ts';

/** What a decision is about. */
export type Weighed = Pick<Operation, 'item' | 'effect' | 'args' | 'handles'> & Partial<Pick<Operation, 'span'>>;

/** Asks for the decision on one operation. Whatever goes wrong on the way is a denial (guarantee D1). Synchronous where the engine is. */
export function decide(gateway: Gateway, caller: Caller, operation: Operation): Decision | Promise<Decision> {
  const decision = weigh(gateway, caller, operation, riskOf(gateway, caller, operation));
  return decision instanceof Promise
    ? decision.then((late) => settle(gateway, caller, operation, late))
    : settle(gateway, caller, operation, decision);
}

/** The decision by itself: nothing is charged, joined or learned. */
export function weigh(
  gateway: Gateway,
  caller: Caller,
  operation: Weighed,
  risk: CallRisk,
): Decision | Promise<Decision> {
  const { principal, task } = caller;
  const isCounted = operation.effect === 'call';
  const flow = operation.item.profile?.flow === undefined ? undefined : factsOf(gateway, caller, operation);
  const decision = gateway.decider.decideCall({
    principal,
    task,
    template: gateway.template(task.template),
    tool: operation.item,
    args: operation.args,
    callsLeft: isCounted ? gateway.tasks.callsLeft(task.id) : 'not counted',
    provenance: flow && originsOf(flow.provenance),
    risk,
    span: operation.span,
  });
  return decision instanceof Promise
    ? decision.then((late) => judge(gateway, caller, operation, late, flow, risk))
    : judge(gateway, caller, operation, decision, flow, risk);
}

/** What is asked after policy. */
function judge(
  gateway: Gateway,
  caller: Caller,
  operation: Weighed,
  decision: Decision,
  flow: FlowFacts | undefined,
  risk: CallRisk,
): Decision {
  const flowing = flow === undefined ? decision : judgeFlow(gateway, caller, operation, decision, flow);
  const checked = judgeCanary(gateway, operation, judgeHandles(operation, flowing));
  return judgeRisk(gateway, caller, operation, risk, checked);
}

/**
 * Charges a permit, and joins what it will bring: in one step, so that no parallel call comes in between. Where it will store something, what
 * follows is that the mark on it is durable.
 */
export function settle(
  gateway: Gateway,
  caller: Caller,
  operation: Operation,
  decision: Decision,
): Decision | Promise<Decision> {
  const charged = charge(gateway, caller, operation, decision);
  const admitted =
    operation.item.profile?.flow === undefined ? charged : admitFlow(gateway, caller, operation, charged);
  return admitted instanceof Promise
    ? admitted.then((late) => noteUse(gateway, caller, operation, late))
    : noteUse(gateway, caller, operation, admitted);
}

function noteUse(gateway: Gateway, caller: Caller, operation: Operation, decision: Decision): Decision {
  if (decision.verdict === 'permit') learnUse(gateway, caller, operation, decision);
  return decision;
}

function charge(gateway: Gateway, { task }: Caller, operation: Operation, decision: Decision): Decision {
  if (decision.verdict !== 'permit') return decision;
  const beyond =
    gateway.limits === undefined
      ? undefined
      : gateway.limits.admit(task, gateway.template(task.template)?.limits, operation);
  const unfit = beyond ?? gateway.legacy?.admit(task.id, operation);
  if (unfit !== undefined) return { ...decision, ...unfit };
  if (operation.effect !== 'call' || gateway.tasks.takeCall(task.id)) return decision;
  // Parallel calls: another one took the last of the budget while this one was being decided.
  const spent = checkBudget(task, gateway.template(task.template), 0);
  return { ...decision, verdict: 'deny', ...spent };
}
