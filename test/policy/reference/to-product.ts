import type { PolicyInventory } from '../../../src/adapters/policy/policy-inventory.ts';
import type { FlowLabels, Origin, SinkKind } from '../../../src/domain/flow.ts';
import { agentId, connectorId, type ToolRef, taskId, templateId, tenantId } from '../../../src/domain/ids.ts';
import type { Principal } from '../../../src/domain/principal.ts';
import type { Task, TaskBounds, TaskTemplate } from '../../../src/domain/task.ts';
import type { ActionClass, ArgumentType, GovernedTool, ToolProfile } from '../../../src/domain/tool.ts';
import type { CallRequest } from '../../../src/policy/decide.ts';
import { samplePrincipal, sampleTask, sampleTemplate, sampleTool } from '../samples.ts';
import type { Bounds, Estate, Profile, Question } from './world.ts';

/** The model's estate and questions in the types of the code under test. */

export type Profiles = ReadonlyMap<Profile, ToolProfile>;

export function toProfile({ actionClass, dataClasses, reversible, sink, args, critical }: Profile): ToolProfile {
  return {
    actionClass: actionClass as ActionClass,
    dataClasses,
    criticalArguments: args.map((argument) => ({ ...argument, type: argument.type as ArgumentType })),
    reversible,
    approvedBy: 'ann',
    fingerprint: undefined,
    flow:
      sink === undefined && critical.length === 0
        ? undefined
        : {
            trust: 'internal',
            fields: [],
            format: 'json',
            sink: (sink ?? 'none') as SinkKind,
            critical: critical.map((name) => ({ name, kind: undefined, from: 'user' as const })),
            resource: [],
            destinations: [],
            asked: [],
            inverse: undefined,
          },
  };
}

export function toInventory({ agents, connectors }: Estate, profiles: Profiles): PolicyInventory {
  return {
    agents: agents.map((agent) => ({ ...agent, id: agentId(agent.id) })),
    connectors: connectors.map(({ id, owner, environment, zone, items }) => ({
      id: connectorId(id),
      owner,
      environment,
      zone,
      tools: items.map(({ ref, profile }) => ({
        name: ref.slice(id.length + 1),
        profile: profiles.get(profile) as ToolProfile,
      })),
    })),
  };
}

export function toPrincipal({ caller }: Question): Principal {
  const { tenant, user, agent, actors, task } = caller;
  return samplePrincipal({
    tenant: tenantId(tenant),
    user,
    agent: agentId(agent),
    actors: actors.map(agentId),
    task: taskId(task),
  });
}

export function toCall(question: Question, principal: Principal, profiles: Profiles): CallRequest {
  const { task, template, args, callsLeft, provenance } = question;
  return {
    principal,
    task: toTask(task),
    template: template && toTemplate(template),
    tool: toTool(question, profiles),
    args,
    callsLeft,
    provenance: provenance as Record<string, Origin>,
  };
}

const toBounds = (bounds: Bounds): TaskBounds => ({
  ...bounds,
  actionClasses: bounds.actionClasses as ActionClass[],
  resources: [],
});

function toTask({ bounds, ...task }: Question['task']): Task {
  return sampleTask({
    ...task,
    id: taskId(task.id),
    tenant: tenantId(task.tenant),
    agent: agentId(task.agent),
    template: templateId(task.template),
    bounds: toBounds(bounds),
    state: task.state as Task['state'],
    endReason: task.state === 'ended' ? 'completed' : undefined,
  });
}

function toTemplate({ bounds, ...template }: NonNullable<Question['template']>): TaskTemplate {
  return sampleTemplate({
    ...template,
    id: templateId(template.id),
    agents: template.agents.map(agentId),
    bounds: toBounds(bounds),
  });
}

function toTool({ item, status, hasDrifted }: Question, profiles: Profiles): GovernedTool {
  const own = profiles.get(item.profile) as ToolProfile;
  const profile = hasDrifted ? { ...own, reversible: !own.reversible } : own;
  return sampleTool(item.ref as ToolRef, {
    status: status as GovernedTool['status'],
    profile: status === 'undescribed' ? undefined : profile,
  });
}

export const toLabels = ({ labels }: Question): FlowLabels => labels as FlowLabels;
