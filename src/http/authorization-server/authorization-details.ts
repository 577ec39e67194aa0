import { z } from 'zod';
import { type TaskId, taskId, templateId } from '../../domain/ids.ts';
import { readGivenPrompt } from '../../domain/prompt.ts';
import type { Task, TaskDeclaration } from '../../domain/task.ts';
import { ACTION_CLASSES } from '../../domain/tool.ts';
import { OAuthRefusal } from './oauth-refusal.ts';

/** The one type of RFC 9396 that this server knows. */
export const TASK_TYPE = 'remit_task';

const TASK_ID = /^tsk_[0-9a-hjkmnp-tv-z]{24}$/;
const entries = z.array(z.string().min(1)).max(200);

const declaration = z.strictObject({
  type: z.literal(TASK_TYPE),
  template: z.string().regex(/^[a-z][a-z0-9-]{0,62}$/, 'not the id of a template'),
  purpose: z.string().optional(),
  /** Action classes (RFC 9396 section 2.2 names the field). */
  actions: z.array(z.enum(ACTION_CLASSES)).max(ACTION_CLASSES.length).optional(),
  /** Where the access is for: the gateway only. */
  locations: z.array(z.string()).max(1).optional(),
  tools: entries.optional(),
  resources: entries.optional(),
  budget: z.strictObject({ calls: z.int() }).optional(),
  duration_seconds: z.int().optional(),
  /** For the record: the prompt that the work follows from, or its digest. */
  prompt: z
    .unknown()
    .refine(
      (value) => readGivenPrompt(value) !== undefined,
      'not a digest (sha256:…) and no object with digest or text',
    )
    .optional(),
});

/** A child is of its parent's template. */
const child = declaration
  .omit({ template: true })
  .extend({ parent: z.string().regex(TASK_ID, 'not the id of a task') });

const continuation = z.strictObject({
  type: z.literal(TASK_TYPE),
  task: z.string().regex(TASK_ID, 'not the id of a task'),
});

/** What a client asks for: a new task, one below a task of its own, or a fresh token for one that runs. */
export type TaskRequest =
  | { readonly declare: TaskDeclaration }
  | { readonly declareChild: Omit<TaskDeclaration, 'template'>; readonly parent: TaskId }
  | { readonly continue: TaskId };

/**
 * Reads `authorization_details`: exactly one object, strict.
 * @throws OAuthRefusal naming the offending field and what is accepted
 */
export function readTaskRequest(text: string | undefined, resource: string): TaskRequest {
  if (text === undefined) {
    throw new OAuthRefusal(
      'invalid_request',
      `authorization_details is required: one object of type ${TASK_TYPE} with a template, or with a running task`,
    );
  }
  const [detail, ...others] = parseList(text);
  if (typeof detail !== 'object' || detail === null || others.length > 0) {
    refuse(`authorization_details is not a list of exactly one object of type ${TASK_TYPE}`);
  }
  if ('task' in detail) return { continue: taskId(check(continuation, detail).task) };

  if ('parent' in detail) {
    const asked = check(child, detail);
    return { declareChild: readDeclaration(asked, resource), parent: taskId(asked.parent) };
  }
  const asked = check(declaration, detail);
  return { declare: { template: templateId(asked.template), ...readDeclaration(asked, resource) } };
}

function readDeclaration(
  asked: Omit<z.output<typeof declaration>, 'template'>,
  resource: string,
): Omit<TaskDeclaration, 'template'> {
  const prompt = readGivenPrompt(asked.prompt);
  for (const location of asked.locations ?? []) {
    if (location !== resource) refuse(`locations[0] '${location}' is not this gateway; allowed: ${resource}`);
  }
  return {
    ...(asked.purpose !== undefined && { purpose: asked.purpose }),
    ...(asked.actions !== undefined && { actionClasses: asked.actions }),
    ...(asked.tools !== undefined && { tools: asked.tools }),
    ...(asked.resources !== undefined && { resources: asked.resources }),
    ...(asked.budget !== undefined && { calls: asked.budget.calls }),
    ...(asked.duration_seconds !== undefined && { durationSeconds: asked.duration_seconds }),
    ...(prompt !== undefined && { prompt }),
  };
}

/** The granted task as the token response tells it (RFC 9396 section 7). */
export interface GrantedTask {
  readonly type: typeof TASK_TYPE;
  readonly task: string;
  readonly template: string;
  readonly parent?: string;
  readonly purpose: string;
  readonly actions: readonly string[];
  readonly tools: readonly string[];
  readonly resources: readonly string[];
  readonly budget: { readonly calls: number };
  /** RFC 3339, UTC: when the task ends by itself. */
  readonly expires_at: string;
}

export function toGrantedTask(task: Task): GrantedTask {
  return {
    type: TASK_TYPE,
    task: task.id,
    template: task.template,
    ...(task.parent !== undefined && { parent: task.parent }),
    purpose: task.purpose,
    actions: task.bounds.actionClasses,
    tools: task.bounds.tools,
    resources: task.bounds.resources,
    budget: { calls: task.bounds.calls },
    expires_at: new Date(task.expiresAt).toISOString(),
  };
}

function parseList(text: string): unknown[] {
  try {
    const value: unknown = JSON.parse(text);
    return Array.isArray(value) ? value : refuse('authorization_details is not a JSON list');
  } catch (error) {
    if (error instanceof OAuthRefusal) throw error;
    return refuse('authorization_details is not JSON');
  }
}

function check<T extends z.ZodType>(schema: T, value: unknown): z.output<T> {
  const result = schema.safeParse(value);
  if (result.success) return result.data;
  const [issue] = result.error.issues;
  const path = (issue?.path ?? [])
    .map((part) => (typeof part === 'number' ? `[${part}]` : `.${String(part)}`))
    .join('');
  const given = valueAt(value, issue?.path ?? []);
  const shown = typeof given === 'string' || typeof given === 'number' ? ` '${String(given).slice(0, 100)}'` : '';
  const more = issue?.code === 'unrecognized_keys' ? `; allowed: ${fieldsOf(schema)}` : '';
  return refuse(`authorization_details[0]${path}${shown}: ${issue?.message ?? 'not accepted'}${more}`);
}

function valueAt(value: unknown, path: readonly PropertyKey[]): unknown {
  return path.reduce<unknown>((at, part) => (at as Record<PropertyKey, unknown> | undefined)?.[part], value);
}

function fieldsOf(schema: z.ZodType): string {
  return schema instanceof z.ZodObject ? Object.keys(schema.shape).join(', ') : '';
}

function refuse(description: string): never {
  throw new OAuthRefusal('invalid_authorization_details', description);
}
