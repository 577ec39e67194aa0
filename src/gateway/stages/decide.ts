import type { Decision } from '../../domain/decision.ts';
import type { GovernedTool } from '../../domain/tool.ts';
import { checkBudget } from '../../policy/task-gate.ts';
import type { Gateway } from '../gateway.ts';
import type { Caller } from './authenticate.ts';
import type { ToolCall } from './resolve.ts';

/** Asks for the decision on one call. Whatever goes wrong on the way is a denial (guarantee D1). */
export async function decide(gateway: Gateway, caller: Caller, tool: GovernedTool, call: ToolCall): Promise<Decision> {
  const { principal, task } = caller;
  const template = gateway.template(task.template);
  const decision = await gateway.decider.decideCall({
    principal,
    task,
    template,
    tool,
    args: call.arguments,
    callsLeft: gateway.tasks.callsLeft(task.id),
  });
  if (decision.verdict !== 'permit' || gateway.tasks.takeCall(task.id)) return decision;
  // Parallel calls: another one took the last of the budget while this one was being decided.
  const spent = checkBudget(task, template, 0);
  return { ...decision, verdict: 'deny', ...spent };
}
