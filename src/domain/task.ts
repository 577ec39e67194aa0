import type { AgentId, TaskId, TemplateId, TenantId, ToolRef, TraceId } from './ids.ts';
import type { User } from './principal.ts';
import type { GivenPrompt } from './prompt.ts';
import type { ActionClass } from './tool.ts';

/**
 * What a task may do at most. A template holds one, and a task's own may only be narrower.
 * A tool is named as `connector/tool`, a resource of MCP as `connector/resource:pattern`, a prompt as `connector/prompt:name`;
 * `connector/*` stands for every described one of a connector.
 * A resource of a downstream is named as `connector:path`, for example `shop_db:public.orders`; its meaning belongs to the issuer.
 */
export interface TaskBounds {
  readonly actionClasses: readonly ActionClass[];
  readonly tools: readonly string[];
  readonly resources: readonly string[];
  /** Call budget: how many calls may be permitted over the task's life. */
  readonly calls: number;
}

/** Owner-approved upper bound for a kind of work. */
export interface TaskTemplate {
  readonly id: TemplateId;
  readonly owner: string;
  readonly purpose: string;
  readonly agents: readonly AgentId[];
  readonly bounds: TaskBounds;
  readonly maxDurationSeconds: number;
  /** A task under this template needs a user (a verified subject token). */
  readonly requiresUser: boolean;
  /** How far its tasks may branch; undefined: they have no children. */
  readonly children?: { readonly depth: number; readonly perTask: number } | undefined;
  readonly limits?: TemplateLimits | undefined;
  /** What a task may do with what it has read. Undefined: the rules of flow alone say. */
  readonly flow?: TemplateFlow | undefined;
}

/** Bounds on how fast a task with its children goes, and how much passes through it. */
export interface TemplateLimits {
  /** Of one item. */
  readonly callsPerMinute?: number | undefined;
  /** Of results; the one that passes it is the last. */
  readonly readBytes?: number | undefined;
  /** Of the arguments of calls that reach outside. */
  readonly sentBytes?: number | undefined;
}

/** Bounds on the flow of data within one task and its children. */
export interface TemplateFlow {
  /** Whether calls with an effect have to be asked for by a prompt of the task. */
  readonly isNarrowedByPrompt: boolean;
  /** Values that critical arguments may always have; `*` at the start or end of one stands for any text. */
  readonly destinations: readonly string[];
  /** `from>to`: what was read in one zone may go to the other. */
  readonly crossings: readonly string[];
  /** Most calls that reach somebody outside, most connectors; beyond them a call is held. */
  readonly outwardCalls: number | undefined;
  readonly connectors: number | undefined;
}

export type TaskEndReason = 'completed' | 'expired' | 'revoked' | 'agent_disabled' | 'deviated' | 'parent_ended';

/** Bounded piece of work that access is granted for. Times are milliseconds since the epoch. */
export interface Task {
  readonly id: TaskId;
  readonly tenant: TenantId;
  readonly agent: AgentId;
  readonly user: User | undefined;
  readonly template: TemplateId;
  readonly purpose: string;
  readonly bounds: TaskBounds;
  readonly parent: TaskId | undefined;
  readonly trace: TraceId;
  readonly state: 'active' | 'suspended' | 'ended';
  readonly endReason: TaskEndReason | undefined;
  readonly startedAt: number;
  readonly expiresAt: number;
  readonly endedAt: number | undefined;
}

/** What an agent asks for when it declares a task: all but the template may be left out, and then the template's holds. */
export interface TaskDeclaration {
  readonly template: TemplateId;
  readonly purpose?: string;
  readonly actionClasses?: readonly ActionClass[];
  readonly tools?: readonly string[];
  readonly resources?: readonly string[];
  readonly calls?: number;
  readonly durationSeconds?: number;
  /** The prompt that the work follows from: for the record, and never part of what is granted. */
  readonly prompt?: GivenPrompt;
}

/** Whether a list of tool patterns covers a tool, a resource or a prompt. */
export function coversTool(patterns: readonly string[], ref: ToolRef): boolean {
  const slash = ref.indexOf('/') + 1;
  for (const pattern of patterns) {
    if (pattern === ref) return true;
    if (pattern.length === slash + 1 && pattern.endsWith('*') && ref.startsWith(pattern.slice(0, slash))) return true;
  }
  return false;
}

/** Tasks above one that are looked at: a chain of delegation is short, its depth bounded where it is made; this bound is against a ring. */
export const MOST_ABOVE = 64;
