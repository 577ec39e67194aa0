import type { Decision } from '../../domain/decision.ts';
import { NO_LABELS } from '../../domain/flow.ts';
import { agentId, type TemplateId, taskId, templateId, traceId } from '../../domain/ids.ts';
import type { Principal } from '../../domain/principal.ts';
import { NO_RISK } from '../../domain/risk.ts';
import type { Task, TaskTemplate } from '../../domain/task.ts';
import { ACTION_CLASSES } from '../../domain/tool.ts';
import { checkCase, type Mismatch } from '../../policy/check-case.ts';
import { createDecider } from '../../policy/decide.ts';
import type { PolicyEngine } from '../../seams/policy-engine.ts';
import type { Estate } from '../estate.ts';
import type { PolicyCase } from './policy-cases.ts';

export interface CaseResult {
  readonly of: PolicyCase;
  readonly decision: Decision;
  /** Empty: the case holds. */
  readonly mismatches: readonly Mismatch[];
}

/** A case asks at a moment of its own: it must not fail because of the day on which it is run. 2027-01-01, UTC. */
const NOW = 1_798_761_600_000;
/** The task of a case that names no template. No template can have the empty name. */
const EVERYTHING = templateId('');

/** Asks each case of the real decider, as a call would be. */
export async function runPolicyCases(
  cases: readonly PolicyCase[],
  engine: PolicyEngine,
  estate: Estate,
): Promise<CaseResult[]> {
  const results: CaseResult[] = [];
  for (const one of cases) {
    const decision = await decideCase(one, engine, estate);
    const { expect: verdict, gate, policies, approvers } = one;
    results.push({ of: one, decision, mismatches: checkCase({ verdict, gate, policies, approvers }, decision) });
  }
  return results;
}

function decideCase(one: PolicyCase, engine: PolicyEngine, estate: Estate): Decision | Promise<Decision> {
  const { labels = NO_LABELS, provenance, risk = NO_RISK, action = 'call', environment = estate.environment } = one;
  const decider = createDecider({
    engine: () => engine,
    environment,
    labelsOf: () => labels,
    clock: () => NOW,
  });
  const template = templateOf(one, estate);
  const task = taskOf(one, template, estate);
  const principal: Principal = {
    tenant: task.tenant,
    user: one.user,
    agent: agentId(one.agent),
    actors: (one.actors ?? []).map(agentId),
    workload: 'case',
    task: task.id,
    tokenId: 'case',
    tokenExpiresAt: task.expiresAt,
  };
  const request = { principal, task, template, tool: one.found };
  if (action === 'discover') return decider.decideDiscovery(request);
  return decider.decideCall({ ...request, args: one.arguments ?? {}, callsLeft: task.bounds.calls, provenance, risk });
}

function templateOf(one: PolicyCase, { templates, connectors }: Estate): TaskTemplate {
  const named = one.template === undefined ? undefined : templates.get(one.template as TemplateId);
  return (
    named ?? {
      id: EVERYTHING,
      owner: '',
      purpose: 'a case without a template',
      agents: [agentId(one.agent)],
      bounds: {
        actionClasses: ACTION_CLASSES,
        tools: [...connectors.keys()].map((id) => `${id}/*`),
        resources: [],
        calls: 1,
      },
      maxDurationSeconds: 3_600,
      requiresUser: false,
    }
  );
}

function taskOf(one: PolicyCase, template: TaskTemplate, { tenant }: Estate): Task {
  return {
    id: taskId('tsk_case'),
    tenant,
    agent: agentId(one.agent),
    user: one.user,
    template: template.id,
    purpose: one.purpose ?? template.purpose,
    bounds: template.bounds,
    parent: undefined,
    trace: traceId('0'.repeat(32)),
    state: 'active',
    endReason: undefined,
    startedAt: NOW,
    expiresAt: NOW + template.maxDurationSeconds * 1_000,
    endedAt: undefined,
  };
}
