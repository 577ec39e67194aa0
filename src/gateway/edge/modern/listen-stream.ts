import { type Era, META } from '../../../domain/era.ts';
import type { ConnectorId, TaskId } from '../../../domain/ids.ts';
import { isJsonObject, type JsonObject } from '../../../domain/json.ts';
import type { ListKind, Sink } from '../../events/hub.ts';
import { resultAnswer } from '../render.ts';
import type { Reply } from '../reply.ts';

/** What a `subscriptions/listen` asks to hear of. */
export interface ListenFilter {
  readonly lists: ReadonlySet<ListKind>;
  readonly resources: ReadonlySet<string>;
  /** McpTasks, under the handles that the gateway gave for them (extension `io.modelcontextprotocol/tasks`). */
  readonly mcpTasks: ReadonlySet<string>;
}

const MOST_NAMES = 64;
const MOST_CHARACTERS = 16_384;
const TASKS = 'io.modelcontextprotocol/tasks';
const LISTS = [
  ['toolsListChanged', 'tools'],
  ['promptsListChanged', 'prompts'],
  ['resourcesListChanged', 'resources'],
] as const;
const KIND_OF: ReadonlyMap<string, ListKind> = new Map(
  LISTS.map(([, kind]) => [`notifications/${kind}/list_changed`, kind]),
);

/** Reads `params.notifications`; members that it does not know are not honoured. */
export function readFilter(notifications: unknown): ListenFilter | { readonly problem: string } {
  if (!isJsonObject(notifications)) return { problem: '"notifications" is missing or no object' };
  const lists = new Set<ListKind>();
  for (const [member, kind] of LISTS) {
    const wanted = notifications[member] ?? false;
    if (typeof wanted !== 'boolean') return { problem: `"notifications.${member}" must be true or false` };
    if (wanted) lists.add(kind);
  }
  const resources = readNames(notifications.resourceSubscriptions);
  const mcpTasks = readNames(notifications.taskIds);
  if (resources === undefined || mcpTasks === undefined) {
    const problem = `"resourceSubscriptions" and "taskIds" must be lists of at most ${MOST_NAMES} strings`;
    return { problem };
  }
  return { lists, resources, mcpTasks };
}

function readNames(value: unknown): ReadonlySet<string> | undefined {
  if (value === undefined) return new Set();
  const isList = Array.isArray(value) && value.length <= MOST_NAMES;
  return isList && value.every((name) => typeof name === 'string' && name.length <= MOST_CHARACTERS)
    ? new Set(value as string[])
    : undefined;
}

/** What is left of a filter of what the gateway offers. */
export function offeredPart({ lists, resources, mcpTasks }: ListenFilter, capabilities: JsonObject): ListenFilter {
  const offers = (kind: string, what: string): boolean => {
    const capability = capabilities[kind];
    return isJsonObject(capability) && capability[what] === true;
  };
  return {
    lists: new Set([...lists].filter((kind) => offers(kind, 'listChanged'))),
    resources: offers('resources', 'subscribe') ? resources : new Set(),
    mcpTasks: isJsonObject(capabilities.extensions) && TASKS in capabilities.extensions ? mcpTasks : new Set(),
  };
}

/** One open `subscriptions/listen`: acknowledged first, tagged with the request's id, and confined to what it asked for. */
export class ListenStream implements Sink {
  readonly era: Era = 'modern';
  readonly task: TaskId;
  readonly scope: ConnectorId | undefined;
  readonly #id: string | number;
  readonly #filter: ListenFilter;
  readonly #reply: Reply;
  readonly #server: JsonObject;
  #isClosed = false;

  constructor(
    of: { readonly task: TaskId; readonly scope: ConnectorId | undefined; readonly id: string | number },
    filter: ListenFilter,
    reply: Reply,
    server: JsonObject,
  ) {
    this.task = of.task;
    this.scope = of.scope;
    this.#id = of.id;
    this.#filter = filter;
    this.#reply = reply;
    this.#server = server;
  }

  /** Says what is honoured of the request: always the first message. */
  acknowledge(): void {
    const notifications: Record<string, unknown> = {};
    for (const [member, kind] of LISTS) if (this.#filter.lists.has(kind)) notifications[member] = true;
    if (this.#filter.resources.size > 0) notifications.resourceSubscriptions = [...this.#filter.resources];
    if (this.#filter.mcpTasks.size > 0) notifications.taskIds = [...this.#filter.mcpTasks];
    this.#send('notifications/subscriptions/acknowledged', { notifications });
  }

  wantsList(kind: ListKind): boolean {
    return this.#filter.lists.has(kind);
  }

  wantsResource(uri: string): boolean {
    return this.#filter.resources.has(uri);
  }

  resources(): Iterable<string> {
    return this.#filter.resources;
  }

  notify(method: string, params: JsonObject): void {
    if (!this.#isClosed && this.#wants(method, params)) this.#send(method, params);
  }

  #wants(method: string, { uri, taskId }: JsonObject): boolean {
    if (method === 'notifications/resources/updated') return typeof uri === 'string' && this.wantsResource(uri);
    if (method === 'notifications/tasks') return typeof taskId === 'string' && this.#filter.mcpTasks.has(taskId);
    const kind = KIND_OF.get(method);
    return kind !== undefined && this.wantsList(kind);
  }

  #send(method: string, params: JsonObject): void {
    const meta = isJsonObject(params._meta) ? params._meta : undefined;
    this.#reply.notify(method, { ...params, _meta: { ...meta, [META.subscriptionId]: this.#id } });
  }

  /** Ends it with a result, which tells the client that this is no disconnect. Idempotent. */
  close(): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    const result = {
      resultType: 'complete',
      _meta: { [META.subscriptionId]: this.#id, [META.serverInfo]: this.#server },
    };
    void this.#reply.finish(resultAnswer(this.#id, JSON.stringify(result)));
  }
}
