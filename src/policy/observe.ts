import type { Decision } from '../domain/decision.ts';
import type { SinkKind } from '../domain/flow.ts';
import type { ActionClass } from '../domain/tool.ts';
import type { Clock } from '../seams/clock.ts';
import type { PolicyAnswer } from '../seams/policy-engine.ts';
import type { DiscoveryRequest } from './decide.ts';

/** Until a time, what policies deny of an agent, a template or a connector is recorded and let through. */
export interface Observation {
  readonly of: 'agent' | 'template' | 'connector';
  readonly id: string;
  /** Milliseconds since the epoch. */
  readonly until: number;
}

/** Whether a denial is only observed. Asked of denials alone: a permit costs nothing more. */
export type Observes = (request: DiscoveryRequest, answer: PolicyAnswer) => boolean;

/** Money, rights, secrets, and what cannot be brought back: denied as ever. */
const NEVER_CLASSES: ReadonlySet<ActionClass> = new Set(['financial', 'privilege', 'secret']);
const NEVER_SINKS: ReadonlySet<SinkKind> = new Set(['money', 'admin', 'destroy']);

/** @returns undefined where nothing is observed */
export function createObserver(observations: readonly Observation[], clock: Clock): Observes | undefined {
  if (observations.length === 0) return undefined;
  return ({ principal, task, tool: { connector, profile } }, answer) => {
    // Only what policies say: a fault of an engine, and what a person would have to lift, is no judgement to look past.
    if (answer.verdict !== 'deny' || answer.isJudged !== true || profile === undefined) return false;
    if (NEVER_CLASSES.has(profile.actionClass)) return false;
    if (profile.flow !== undefined && NEVER_SINKS.has(profile.flow.sink)) return false;
    const ids = { agent: principal.agent, template: task.template, connector };
    const now = clock();
    return observations.some(({ of, id, until }) => ids[of] === id && now < until);
  };
}

/** Asked of a denial. */
export function isOnlyObserved(
  observes: Observes | undefined,
  request: DiscoveryRequest,
  answer: PolicyAnswer,
): boolean {
  return observes?.(request, answer) === true;
}

/** What is let through although a policy denies it: a permit that says so. */
export function letThrough(decision: Decision, denied: Decision): Decision {
  const { gate, policies, reason } = denied;
  return { ...decision, wouldDeny: { gate, policies, reason } };
}
