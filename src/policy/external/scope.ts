import { coversTool } from '../../domain/task.ts';
import type { GovernedTool } from '../../domain/tool.ts';
import type { ExternalPolicy } from '../../seams/external-policy.ts';
import type { DiscoveryRequest } from '../decide.ts';

/** What a decision point outside is asked about. */
export interface PointScope {
  readonly id: string;
  readonly asks: ReadonlySet<'call' | 'discover'>;
  /** Undefined: of every agent, item and class. */
  readonly agents: readonly string[] | undefined;
  readonly tools: readonly string[] | undefined;
  readonly actionClasses: readonly string[] | undefined;
}

/** One decision point outside, and how it is asked. */
export interface ExternalPoint extends PointScope {
  readonly policy: ExternalPolicy;
  /** By item: the arguments whose values are sent. Of no other any is. */
  readonly arguments: ReadonlyMap<string, readonly string[]>;
  readonly timeoutMs: number;
  /** How long an answer to the very same question is used again; 0: never. */
  readonly reuseMs: number;
}

/** Whether a point is asked. Any agent of the chain in its scope is enough: asking more can only deny more. */
export function isAsked(
  point: PointScope,
  { principal, tool }: DiscoveryRequest,
  action: 'call' | 'discover',
): boolean {
  if (!point.asks.has(action)) return false;
  const { agents, tools, actionClasses } = point;
  if (agents !== undefined && ![principal.agent, ...principal.actors].some((agent) => agents.includes(agent)))
    return false;
  if (tools !== undefined && !coversTool(tools, tool.ref)) return false;
  return actionClasses === undefined || isOfClass(tool, actionClasses);
}

const isOfClass = ({ profile }: GovernedTool, classes: readonly string[]): boolean =>
  profile !== undefined && classes.includes(profile.actionClass);
