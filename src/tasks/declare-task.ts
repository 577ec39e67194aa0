import type { AgentId, TaskId, TemplateId, TenantId, ToolRef, TraceId } from '../domain/ids.ts';
import type { User } from '../domain/principal.ts';
import { coversTool, type Task, type TaskDeclaration, type TaskTemplate } from '../domain/task.ts';
import { coversResource, resourceFault } from './covers-resource.ts';
import { isTaskRefusal, listAllowed, refuseTask, type TaskRefusal } from './task-refusal.ts';

/** Who declares, when, and the ids that the new task gets. */
export interface DeclarationContext {
  readonly tenant: TenantId;
  readonly agent: AgentId;
  readonly user: User | undefined;
  /** Milliseconds since the epoch. */
  readonly now: number;
  readonly id: TaskId;
  readonly trace: TraceId;
}

const MAX_PURPOSE = 500;
const MAX_ENTRIES = 200;
const MAX_ENTRY = 600;
/** Control, format (bidirectional overrides among them), separators of lines, lone surrogates: they forge log lines. */
const UNPRINTABLE = /[\p{Cc}\p{Cf}\p{Cs}\p{Zl}\p{Zp}]/u;
const TOOL = /^[a-z][a-z0-9_]{0,30}\/.+$/su;

/** Makes a task of a declaration, which names its template. */
export function declareTask(
  templates: ReadonlyMap<TemplateId, TaskTemplate>,
  { agent, user, declaration }: Pick<DeclarationContext, 'agent' | 'user'> & { readonly declaration: TaskDeclaration },
  context: Omit<DeclarationContext, 'agent' | 'user'>,
): Task | TaskRefusal {
  const template = templates.get(declaration.template);
  if (template !== undefined) return narrowTask(template, declaration, { ...context, agent, user });
  const allowed = [...templates.values()].filter(({ agents }) => agents.includes(agent)).map(({ id }) => id);
  return refuseTask(
    'unknown_template',
    `template '${declaration.template}' is not known; allowed for agent '${agent}': ${listAllowed(allowed)}`,
    { field: 'template', value: declaration.template, allowed },
  );
}

/**
 * Makes a task out of a declaration within its template. A declaration may only narrow; what it leaves out is the
 * template's. Anything wider is refused, never clipped: an agent that asked for more must not believe that it got it.
 */
export function narrowTask(
  template: TaskTemplate,
  declaration: TaskDeclaration,
  context: DeclarationContext,
): Task | TaskRefusal {
  if (!template.agents.includes(context.agent)) {
    return refuseTask(
      'agent_not_allowed',
      `agent '${context.agent}' may not start tasks under template '${template.id}'`,
      {
        field: 'template',
        value: template.id,
      },
    );
  }
  if (template.requiresUser && context.user === undefined) {
    return refuseTask(
      'user_required',
      `template '${template.id}' needs a user: exchange the user's own token (grant type token-exchange)`,
      { field: 'template', value: template.id },
    );
  }

  const { bounds } = template;
  const purpose = narrowPurpose(template, declaration.purpose);
  if (typeof purpose !== 'string') return purpose;
  const actionClasses = narrowList(template, 'actions', declaration.actionClasses, bounds.actionClasses, {
    isCovered: (value) => bounds.actionClasses.includes(value),
    mayBeEmpty: false,
  });
  if (isTaskRefusal(actionClasses)) return actionClasses;
  const tools = narrowList(template, 'tools', declaration.tools, bounds.tools, {
    fault: (value) => (TOOL.test(value) ? undefined : 'a tool is named connector/tool or connector/*'),
    isCovered: (value) => coversTool(bounds.tools, value as ToolRef),
    mayBeEmpty: false,
  });
  if (isTaskRefusal(tools)) return tools;
  const resources = narrowList(template, 'resources', declaration.resources, bounds.resources, {
    fault: resourceFault,
    isCovered: (value) => bounds.resources.some((pattern) => coversResource(pattern, value)),
    // A task without any resource is a narrower one: its calls need no data of the downstream.
    mayBeEmpty: true,
  });
  if (isTaskRefusal(resources)) return resources;
  const calls = narrowCount(template, 'budget.calls', declaration.calls, bounds.calls);
  if (typeof calls !== 'number') return calls;
  const seconds = narrowCount(template, 'duration_seconds', declaration.durationSeconds, template.maxDurationSeconds);
  if (typeof seconds !== 'number') return seconds;

  return {
    id: context.id,
    tenant: context.tenant,
    agent: context.agent,
    user: context.user,
    template: template.id,
    purpose,
    bounds: { actionClasses, tools, resources, calls },
    parent: undefined,
    trace: context.trace,
    state: 'active',
    endReason: undefined,
    startedAt: context.now,
    expiresAt: context.now + seconds * 1000,
    endedAt: undefined,
  };
}

function narrowPurpose(template: TaskTemplate, declared: string | undefined): string | TaskRefusal {
  if (declared === undefined) return template.purpose;
  const malformed = (why: string) => refuseTask('malformed', `purpose ${why}`, { field: 'purpose' });
  if (UNPRINTABLE.test(declared)) return malformed('holds control or invisible characters');
  const purpose = declared.trim();
  if (purpose === '') return malformed("is empty: say what the task is for, or leave it out for the template's");
  if (purpose.length > MAX_PURPOSE) return malformed(`is longer than ${MAX_PURPOSE} characters`);
  return purpose;
}

function narrowList<T extends string>(
  template: TaskTemplate,
  field: string,
  declared: readonly T[] | undefined,
  allowed: readonly T[],
  rule: { fault?: (value: T) => string | undefined; isCovered: (value: T) => boolean; mayBeEmpty: boolean },
): readonly T[] | TaskRefusal {
  if (declared === undefined) return allowed;
  if (declared.length === 0 && !rule.mayBeEmpty) {
    return refuseTask('malformed', `${field} is empty: name at least one, or leave it out for the template's`, {
      field,
      allowed,
    });
  }
  if (declared.length > MAX_ENTRIES) {
    return refuseTask('malformed', `${field} has ${declared.length} entries; at most ${MAX_ENTRIES} are accepted`, {
      field,
    });
  }
  for (const [index, value] of declared.entries()) {
    const where = `${field}[${index}]`;
    if (value.length > MAX_ENTRY || UNPRINTABLE.test(value)) {
      return refuseTask('malformed', `${where} is too long or holds control or invisible characters`, { field });
    }
    const fault = rule.fault?.(value);
    if (fault !== undefined) {
      return refuseTask('malformed', `${where} '${value}': ${fault}`, { field, value, allowed });
    }
    if (!rule.isCovered(value)) {
      return refuseTask(
        'widening',
        `${where} '${value}' is outside template '${template.id}'; allowed: ${listAllowed(allowed)}`,
        { field, value, allowed },
      );
    }
  }
  return [...new Set(declared)];
}

function narrowCount(
  template: TaskTemplate,
  field: string,
  declared: number | undefined,
  max: number,
): number | TaskRefusal {
  if (declared === undefined) return max;
  const value = String(declared);
  const allowed = [`1 to ${max}`];
  if (!Number.isSafeInteger(declared) || declared < 1) {
    return refuseTask('malformed', `${field} '${value}' is not a whole number of at least 1`, {
      field,
      value,
      allowed,
    });
  }
  if (declared > max) {
    return refuseTask(
      'widening',
      `${field} '${value}' is more than template '${template.id}' holds; allowed: 1 to ${max}`,
      {
        field,
        value,
        allowed,
      },
    );
  }
  return declared;
}
