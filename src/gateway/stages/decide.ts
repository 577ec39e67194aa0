import type { Decision } from '../../domain/decision.ts';
import { originsOf } from '../../flow/origins-of.ts';
import { checkBudget } from '../../policy/task-gate.ts';
import type { Gateway } from '../gateway.ts';
import type { Operation } from '../operation.ts';
import type { Caller } from './authenticate.ts';
import { admitFlow, factsOf, judgeFlow } from './flow.ts';

/** Asks for the decision on one operation. Whatever goes wrong on the way is a denial (guarantee D1). Synchronous where the engine is. */
export function decide(gateway: Gateway, caller: Caller, operation: Operation): Decision | Promise<Decision> {
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
  });
  if (flow !== undefined) {
    return decision instanceof Promise
      ? decision.then((late) => settle(gateway, caller, operation, judgeFlow(gateway, caller, operation, late, flow)))
      : settle(gateway, caller, operation, judgeFlow(gateway, caller, operation, decision, flow));
  }
  if (!isCounted && gateway.legacy === undefined) return decision;
  return decision instanceof Promise
    ? decision.then((late) => charge(gateway, caller, operation, late))
    : charge(gateway, caller, operation, decision);
}

/** Charges a permit, and joins what it will bring: in one step, so that no parallel call comes in between. */
export function settle(gateway: Gateway, caller: Caller, operation: Operation, decision: Decision): Decision {
  const charged = charge(gateway, caller, operation, decision);
  return operation.item.profile?.flow === undefined ? charged : admitFlow(gateway, caller, operation, charged);
}

function charge(gateway: Gateway, { task }: Caller, operation: Operation, decision: Decision): Decision {
  if (decision.verdict !== 'permit') return decision;
  const unfit = gateway.legacy?.admit(task.id, operation);
  if (unfit !== undefined) return { ...decision, ...unfit };
  if (operation.effect !== 'call' || gateway.tasks.takeCall(task.id)) return decision;
  // Parallel calls: another one took the last of the budget while this one was being decided.
  const spent = checkBudget(task, gateway.template(task.template), 0);
  return { ...decision, verdict: 'deny', ...spent };
}
