import type { ConnectorId } from '../domain/ids.ts';
import { type TenantId, toolRef } from '../domain/ids.ts';
import { userKey } from '../domain/principal.ts';
import { coversTool } from '../domain/task.ts';
import type { Store } from '../seams/store.ts';

/** One line of the answer to "who can do what, for how long, under which business intent". Times are RFC 3339. */
export interface Access {
  /** `live`: a task holds it now. `standing`: nobody holds it; the agent may start a task that does. */
  readonly kind: 'live' | 'standing';
  readonly agent: string;
  readonly agentOwner: string;
  /** The user on whose behalf; `(required)` where a task may only be started for one. */
  readonly user: string | undefined;
  readonly tool: string;
  readonly actionClass: string;
  readonly resources: readonly string[];
  /** Business intent. */
  readonly purpose: string;
  readonly task: string | undefined;
  readonly until: string;
  readonly callsBudget: number;
  /** Who approved the upper bound. */
  readonly approvedBy: string;
  readonly template: string;
  /** Live credentials behind it. */
  readonly credentials: readonly {
    readonly lease: string;
    readonly scope: string;
    readonly until: string | undefined;
  }[];
}

export interface WhoCanFilter {
  readonly agent?: string;
  /** `connector/tool`, `connector/prompt:name`, `connector/resource:pattern`, or `connector` for all of it. */
  readonly tool?: string;
  readonly resource?: string;
}

/** Answered from the store alone: no running gateway is needed. */
export async function whoCan(store: Store, tenant: TenantId, filter: WhoCanFilter, now: number): Promise<Access[]> {
  const [agents, grants, tools, tasks, leases] = await Promise.all([
    store.inventory.agents(tenant),
    store.inventory.grants(tenant),
    store.inventory.tools(tenant),
    store.tasks.list(tenant, { state: 'active' }),
    store.leases.list(tenant, { states: ['active'] }),
  ]);
  const ownerOf = new Map(agents.map((agent) => [agent.id, agent.owner]));
  // What may be read is told by the owner's patterns, not by the templates that servers list under them.
  const described = tools.filter(
    ({ status, name, definition }) =>
      status === 'described' && (!name.startsWith('resource:') || 'uriPattern' in definition),
  );
  const answer: Access[] = [];

  for (const tool of described) {
    const connector = tool.connector as ConnectorId;
    const ref = toolRef(connector, tool.name);
    const actionClass = tool.actionClass ?? 'unknown';
    if (filter.tool !== undefined && filter.tool !== ref && filter.tool !== connector) continue;
    const ofConnector = (resources: readonly string[]): string[] =>
      resources.filter((name) => name.startsWith(`${connector}:`));

    for (const task of tasks) {
      if (task.expiresAt <= now || !allows(task.bounds.tools, task.bounds.actionClasses, ref, actionClass)) continue;
      const grant = grants.find((candidate) => candidate.agent === task.agent && candidate.template === task.template);
      if (grant === undefined || !allows(grant.tools, grant.actionClasses, ref, actionClass)) continue;
      answer.push({
        kind: 'live',
        agent: task.agent,
        agentOwner: ownerOf.get(task.agent) ?? '(unregistered)',
        user: task.user && userKey(task.user),
        tool: ref,
        actionClass,
        resources: ofConnector(task.bounds.resources),
        purpose: task.purpose,
        task: task.id,
        until: rfc3339(task.expiresAt),
        callsBudget: task.bounds.calls,
        approvedBy: grant.templateOwner,
        template: task.template,
        credentials: leases
          .filter((lease) => lease.task === task.id && lease.connector === connector)
          .map((lease) => ({
            lease: lease.id,
            scope: lease.scope,
            until: lease.nativeExpiresAt === undefined ? undefined : rfc3339(lease.nativeExpiresAt),
          })),
      });
    }

    for (const grant of grants) {
      if (!allows(grant.tools, grant.actionClasses, ref, actionClass)) continue;
      answer.push({
        kind: 'standing',
        agent: grant.agent,
        agentOwner: ownerOf.get(grant.agent) ?? '(unregistered)',
        user: grant.requiresUser ? '(required)' : undefined,
        tool: ref,
        actionClass,
        resources: ofConnector(grant.resources),
        purpose: grant.purpose,
        task: undefined,
        until: `${grant.maxDurationSeconds} s from the start of a task`,
        callsBudget: grant.calls,
        approvedBy: grant.templateOwner,
        template: grant.template,
        credentials: [],
      });
    }
  }
  return answer.filter(
    (access) =>
      (filter.agent === undefined || access.agent === filter.agent) &&
      (filter.resource === undefined || access.resources.includes(filter.resource)),
  );
}

function allows(
  tools: readonly string[],
  classes: readonly string[],
  ref: ReturnType<typeof toolRef>,
  actionClass: string,
): boolean {
  return coversTool(tools, ref) && classes.includes(actionClass);
}

function rfc3339(ms: number): string {
  return new Date(ms).toISOString();
}
