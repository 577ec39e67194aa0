import type { FlowLabels } from '../../domain/flow.ts';
import { isJsonObject } from '../../domain/json.ts';
import { userKey } from '../../domain/principal.ts';
import type { ExternalQuestion } from '../../seams/external-policy.ts';
import type { CallRequest, DiscoveryRequest } from '../decide.ts';
import type { ExternalPoint } from './scope.ts';

export interface QuestionOptions {
  readonly environment: string;
  readonly labels: FlowLabels | undefined;
}

/**
 * One question for each link of the chain: the user, the agent, each actor (guarantee D3). No time is in it, as none is in the context of policies:
 * the same question is the same text.
 */
export function writeQuestions(
  point: ExternalPoint,
  request: DiscoveryRequest & Partial<CallRequest>,
  action: 'call' | 'discover',
  options: QuestionOptions,
): ExternalQuestion[] {
  const { principal, tool } = request;
  const { user, agent, actors } = principal;
  const { profile } = tool;
  const common = {
    action: { name: action, properties: { actionClass: profile?.actionClass } },
    resource: {
      type: tool.kind,
      id: tool.ref,
      properties: {
        connector: tool.connector,
        actionClass: profile?.actionClass,
        dataClasses: profile?.dataClasses,
        reversible: profile?.reversible,
        sink: profile?.flow?.sink ?? 'none',
      },
    },
    context: contextOf(point, request, action, options),
  };
  const agents = [agent, ...actors].map((id) => ({ subject: { type: 'agent', id, properties: {} }, ...common }));
  if (user === undefined) return agents;
  const subject = { type: 'user', id: userKey(user), properties: { issuer: user.issuer, groups: user.groups } };
  return [{ subject, ...common }, ...agents];
}

function contextOf(
  { arguments: sent }: ExternalPoint,
  { principal, task, tool, args, provenance }: DiscoveryRequest & Partial<CallRequest>,
  action: 'call' | 'discover',
  { environment, labels }: QuestionOptions,
): Record<string, unknown> {
  const { id, template, purpose, startedAt, expiresAt } = task;
  return {
    tenant: principal.tenant,
    environment,
    agent: principal.agent,
    actors: principal.actors,
    ...(principal.user && { user: userKey(principal.user) }),
    task: { id, template, purpose, startedAt, expiresAt },
    ...(action === 'call' && { labels, provenance: provenance ?? {}, arguments: listed(sent.get(tool.ref), args) }),
  };
}

/** The values that the owner has listed for this item, as they are forwarded. */
function listed(names: readonly string[] = [], args: unknown): Record<string, unknown> {
  const given = isJsonObject(args) ? args : {};
  return Object.fromEntries(names.filter((name) => Object.hasOwn(given, name)).map((name) => [name, given[name]]));
}
