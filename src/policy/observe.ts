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

/** Which denials are only observed. Asked of denials alone: a permit costs nothing more. */
export interface Observer {
  /** The observation that covers a denial now; undefined: it binds. */
  covering(request: DiscoveryRequest, answer: PolicyAnswer): Observation | undefined;
  /** A call was let through because of it. */
  noteCall(by: Observation): void;
}

/** Money, rights, secrets, and what cannot be brought back: denied as ever. */
const NEVER_CLASSES: ReadonlySet<ActionClass> = new Set(['financial', 'privilege', 'secret']);
const NEVER_SINKS: ReadonlySet<SinkKind> = new Set(['money', 'admin', 'destroy']);

/** @returns undefined where nothing is observed */
export function createObserver(
  observations: readonly Observation[],
  clock: Clock,
  noteCall: Observer['noteCall'] = () => {},
): Observer | undefined {
  if (observations.length === 0) return undefined;
  return {
    covering({ principal, task, tool: { connector, profile } }, answer) {
      // Only what policies say: a fault of an engine, and what a person would have to lift, is no judgement to look past.
      if (answer.verdict !== 'deny' || answer.isJudged !== true || profile === undefined) return undefined;
      if (NEVER_CLASSES.has(profile.actionClass)) return undefined;
      if (profile.flow !== undefined && NEVER_SINKS.has(profile.flow.sink)) return undefined;
      const ids = { agent: principal.agent, template: task.template, connector };
      const now = clock();
      return observations.find(({ of, id, until }) => ids[of] === id && now < until);
    },
    noteCall,
  };
}

/** What is let through although a policy denies it: a permit that says so. */
export function letThrough(decision: Decision, denied: Decision): Decision {
  const { gate, policies, reason } = denied;
  return { ...decision, wouldDeny: { gate, policies, reason } };
}
