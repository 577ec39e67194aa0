import type { Decision } from '../../domain/decision.ts';
import { messageOf } from '../../domain/errors.ts';
import type { FlowLabels, ValueProvenance } from '../../domain/flow.ts';
import { isAsGood } from '../../domain/flow.ts';
import { alsoHeld, DEFAULT_TERMS, type Provenance, stepUpOf } from '../../domain/step-up.ts';
import type { FlowFacts, FlowQuestion } from '../../flow/create-flow.ts';
import { describeOrigin } from '../../flow/describe-origin.ts';
import type { Gateway } from '../gateway.ts';
import type { Operation } from '../operation.ts';
import type { Caller } from './authenticate.ts';

/**
 * The rules of flow, over what policy has not denied: they may hold it, and two holds are both to be lifted. What is about an earlier call
 * (`follow`) was judged with that one.
 */
export function judgeFlow(
  gateway: { readonly flow: Pick<Gateway['flow'], 'judge'>; readonly template: Gateway['template'] },
  caller: Pick<Caller, 'task'>,
  operation: Pick<Operation, 'item' | 'args' | 'effect'>,
  decision: Decision,
  known?: FlowFacts,
): Decision {
  // What policy has denied is no longer asked about; what was known of it is on record all the same.
  if (decision.verdict === 'deny') return known === undefined ? decision : { ...decision, flow: known };
  if (operation.effect === 'follow') return decision;
  const { hold, facts } = gateway.flow.judge(questionOf(gateway, caller, operation));
  if (hold === undefined) return { ...decision, flow: facts };
  const { rule, reason, from } = hold;
  const own = stepUpOf([{ by: rule, ...DEFAULT_TERMS }], labelTexts(facts.labels), [
    ...(from === undefined ? [] : [from]),
    ...facts.provenance.map((value) => toProvenance(value)),
  ]);
  return {
    ...alsoHeld(decision, { rule, reason, stepUp: own }),
    gate: 'flow',
    nextStep:
      'A person must approve this call first. Do not look for another way; go on with what does not depend on it.',
    policyVersion: decision.policyVersion,
    ...(decision.wouldDeny !== undefined && { wouldDeny: decision.wouldDeny }),
    flow: facts,
  };
}

/** What is known of a call before anybody decides on it. */
export function factsOf(gateway: Gateway, caller: Caller, operation: Pick<Operation, 'item' | 'args'>): FlowFacts {
  return gateway.flow.factsOf(questionOf(gateway, caller, operation));
}

/** Joins what a permitted call will bring, at worst, into what its task has read: its intent says it, and it is not forwarded before. */
export function admitFlow(
  gateway: Gateway,
  caller: Caller,
  operation: Operation,
  decision: Decision,
): Decision | Promise<Decision> {
  if (decision.verdict !== 'permit' || operation.effect === 'follow') return decision;
  const question = questionOf(gateway, caller, operation);
  const { said, marked } = gateway.flow.admit(question, decision.flow?.provenance ?? []);
  const admitted: Decision = { ...decision, flow: said };
  if (marked === undefined) return admitted;
  return marked.then(
    () => admitted,
    (error: unknown) => {
      gateway.log.warn({ tool: operation.item.ref, error: messageOf(error) }, 'what a call stores could not be marked');
      return { ...admitted, ...UNMARKED };
    },
  );
}

/** What a task stores without its labels, another reads as if nothing were wrong with it. */
const UNMARKED = {
  verdict: 'deny',
  gate: 'flow',
  policies: ['remit:unmarked'],
  reason: 'What this task has read could not be noted on what it would store: the store does not answer.',
  nextStep: 'Nothing was sent. Try again; if it persists, tell the owner of the gateway.',
} as const;

function questionOf(
  gateway: Pick<Gateway, 'template'>,
  { task }: Pick<Caller, 'task'>,
  { item, args }: Pick<Operation, 'item' | 'args'>,
): FlowQuestion {
  return { task, template: gateway.template(task.template)?.flow, item, args };
}

function labelTexts({ trust, dataClasses, zones }: FlowLabels): string[] {
  const read = trust === 'untrusted' ? ['untrusted text was read'] : [];
  return [...read, ...dataClasses.map((one) => `data: ${one}`), ...zones.map((one) => `zone: ${one}`)];
}

function toProvenance(value: ValueProvenance): Provenance {
  return { argument: value.argument, from: describeOrigin(value), isTrusted: isAsGood(value.origin, value.needed) };
}
