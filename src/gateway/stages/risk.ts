import type { Decision } from '../../domain/decision.ts';
import { isOutward } from '../../domain/flow.ts';
import { type CallRisk, NO_RISK, RISK_SUBJECTS, type RiskSubject } from '../../domain/risk.ts';
import { alsoHeld, DEFAULT_TERMS, stepUpOf } from '../../domain/step-up.ts';
import type { GovernedTool } from '../../domain/tool.ts';
import { scalarsOf } from '../../flow/scalars.ts';
import type { RiskyCall } from '../../risk/create-risk.ts';
import type { WatchedCall } from '../../risk/watch-calls.ts';
import type { Gateway } from '../gateway.ts';
import type { Operation } from '../operation.ts';
import type { Caller } from './authenticate.ts';
import type { Outcome } from './observe.ts';

/** Sees what is unusual of a call, and gives the levels of all whom it concerns: `NO_RISK` itself where nothing has happened. */
export function riskOf(gateway: Gateway, caller: Caller, operation: Operation): CallRisk {
  const { risk } = gateway;
  if (risk === undefined) return NO_RISK;
  const { item, effect } = operation;
  if (effect === 'call' && (reachesOut(item) || !risk.calls.isUsual(caller.task, item))) {
    risk.calls.attempt(watchedOf(caller, operation));
  }
  return levelsNow(gateway, caller, item);
}

/** The levels alone: to ask is no signal. */
export function levelsNow({ risk }: Gateway, caller: Caller, item: GovernedTool): CallRisk {
  return risk === undefined || risk.levels.isQuiet ? NO_RISK : risk.levels.levelsOf(riskyOf(caller, item));
}

/** What judging needs of a gateway. */
interface Judging {
  readonly risk: { readonly levels: Pick<NonNullable<Gateway['risk']>['levels'], 'judge' | 'isQuiet'> } | undefined;
}

/**
 * What thresholds say, over what policy and flow have not denied. What is about an earlier call (`follow`) was held with that one; nothing
 * goes on of whom the revocation log is about to hold back.
 */
export function judgeRisk(
  gateway: Judging,
  caller: Caller,
  operation: Pick<Operation, 'item' | 'effect'>,
  levels: CallRisk,
  decision: Decision,
): Decision {
  if (gateway.risk === undefined || (levels === NO_RISK && gateway.risk.levels.isQuiet)) return decision;
  const marked = levels === NO_RISK ? decision : { ...decision, risk: levels };
  if (decision.verdict === 'deny') return marked;
  const { item, effect } = operation;
  const judged = gateway.risk.levels.judge(riskyOf(caller, item), levels, item.profile?.actionClass === 'read');
  if (judged === undefined || (judged.action === 'hold' && effect === 'follow')) return marked;
  const whose = `The risk of ${nameOf(judged.by)} is ${judged.level}.`;
  if (judged.action === 'deny') {
    return {
      verdict: 'deny',
      gate: 'risk',
      policies: ['remit:risk'],
      reason: `${whose} It is being held back.`,
      nextStep: 'Stop, and tell your user. Calls are served again when an administrator has looked.',
      policyVersion: decision.policyVersion,
      risk: levels,
      ...(decision.flow !== undefined && { flow: decision.flow }),
    };
  }
  const own = stepUpOf([{ by: 'remit:risk', ...DEFAULT_TERMS }], riskTexts(levels));
  return {
    ...marked,
    ...alsoHeld(decision, { rule: 'remit:risk', reason: whose, stepUp: own }),
    gate: 'risk',
    nextStep:
      decision.verdict === 'step_up'
        ? decision.nextStep
        : 'A person must approve this call first. Do not look for another way; go on with what does not need it.',
  };
}

/** It may be made: what it did for the first time is known from now on. */
export function learnUse(gateway: Gateway, caller: Caller, operation: Operation, decision: Decision): void {
  const { risk } = gateway;
  if (risk === undefined || operation.effect !== 'call') return;
  if (decision.flow?.labels.trust === 'untrusted') risk.calls.tainted(watchedOf(caller, operation));
  if (risk.calls.hasNew) risk.calls.permitted(watchedOf(caller, operation));
}

/**
 * A denial is worth a signal where it is one of many. A fault of ours, and what risk itself denies, are no doing of the caller's.
 * @returns what is to be waited for before it is answered: that other nodes can know of the signal, whatever becomes of this one
 */
export function noteDenied(
  { risk }: Gateway,
  { task, principal }: Caller,
  { gate, policies }: Pick<Decision, 'gate' | 'policies'>,
  item: GovernedTool | undefined,
): Promise<void> | undefined {
  if (risk === undefined || gate === 'fault' || gate === 'risk' || policies[0] === 'remit:busy') return undefined;
  risk.calls.denied(task, principal, policies[0] ?? gate, item);
  return risk.levels.told();
}

/** What came of a call may say something of its connector. */
export function noteOutcome({ risk }: Gateway, caller: Caller, { item, span }: Operation, outcome: Outcome): void {
  if (risk === undefined || (outcome.status !== 'unknown' && outcome.credentialsWithheld === undefined)) return;
  const subjects = [{ kind: 'connector', id: item.connector }] as const;
  const { task } = caller;
  const identity = {
    trace: task.trace,
    span,
    agent: caller.principal.agent,
    task: task.id,
    connector: item.connector,
    tool: item.ref,
  };
  if (outcome.credentialsWithheld !== undefined) {
    risk.levels.signal({ kind: 'credential_echoed', what: `${item.ref} sent its credential back`, subjects, identity });
  } else if (item.profile?.result === undefined) {
    // Where there are rules on results, it may have been they that let none through.
    const what = `${item.ref} did not come back: ${String(outcome.problem ?? 'unknown')}`;
    risk.levels.signal({ kind: 'connector_fault', what, subjects, identity });
  }
}

const reachesOut = ({ profile }: GovernedTool): boolean => profile?.flow !== undefined && isOutward(profile.flow.sink);

const riskyOf = ({ principal, task }: Caller, { connector }: GovernedTool): RiskyCall => ({
  principal,
  task,
  connector,
});

function watchedOf({ principal, task }: Caller, { item, span, args }: Operation): WatchedCall {
  return { principal, task, item, span, destinations: reachesOut(item) ? destinationsOf(item, args) : NOBODY };
}

const NOBODY: readonly string[] = [];

function destinationsOf({ profile }: GovernedTool, args: Operation['args']): readonly string[] {
  try {
    return (profile?.flow?.critical ?? []).flatMap(({ name }) =>
      scalarsOf(Object.hasOwn(args, name) ? args[name] : undefined, name).map(({ text }) => text),
    );
  } catch {
    // More than can be read: flow holds such a call.
    return NOBODY;
  }
}

const nameOf = ({ kind, id }: RiskSubject): string => (kind === 'task' ? 'this task' : `${kind} ${id}`);

const riskTexts = (levels: CallRisk): string[] =>
  RISK_SUBJECTS.filter((kind) => levels[kind] !== 'low').map((kind) => `risk of the ${kind}: ${levels[kind]}`);
