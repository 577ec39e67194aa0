import { RPC } from '../../domain/era.ts';
import { messageOf } from '../../domain/errors.ts';
import type { ConnectorId, TaskId } from '../../domain/ids.ts';
import type { JsonObject } from '../../domain/json.ts';
import { withoutHiddenWithin } from '../../domain/visible-text.ts';
import type { ClientAnswer, RpcError, Watch } from '../../seams/upstream.ts';
import { isQuestionMethod } from '../bridge/client-features.ts';
import type { Question } from '../client-request.ts';
import { type Needle, withholdWithin } from '../stages/withhold-secrets.ts';
import type { Hub, ListKind, Sink } from './hub.ts';
import { createListChanges, type ListChangesOptions } from './list-changes.ts';

export interface HubOptions extends ListChangesOptions {
  /** The one connector that a resource is routed to. */
  readonly connectorOf: (uri: string) => ConnectorId | undefined;
  /** Connections of the task are to look at `Hub.wanted` again. */
  readonly onWanted: (task: TaskId) => void;
  /**
   * A question outside requests as it may be put to the client: decided by the owner's `clientFeatures`, recorded, cleaned. An error answer
   * where it may not.
   */
  readonly question: (
    task: TaskId,
    connector: ConnectorId,
    method: Question['method'],
    params: JsonObject,
    needles: readonly Needle[],
  ) => Question | { readonly error: RpcError } | Promise<Question | { readonly error: RpcError }>;
}

const LISTS: ReadonlyMap<string, ListKind> = new Map([
  ['notifications/tools/list_changed', 'tools'],
  ['notifications/prompts/list_changed', 'prompts'],
  ['notifications/resources/list_changed', 'resources'],
]);
const KINDS: readonly ListKind[] = ['tools', 'prompts', 'resources'];

/** Passed on to legacy clients as they are: the modern era has no place for them outside a request. */
const LEGACY_ONLY = new Set(['notifications/message', 'notifications/elicitation/complete']);

/** What tells of the state of an McpTask, and in which era. */
const TASK_STATUS: ReadonlyMap<string, Sink['era']> = new Map([
  ['notifications/tasks/status', 'legacy'],
  ['notifications/tasks', 'modern'],
]);

const MAX_QUESTIONS = 4;
const MAX_HANDLES = 256;

interface TaskEvents {
  readonly sinks: Set<Sink>;
  /** `connector mcpTask` → handle, oldest first. */
  readonly handles: Map<string, string>;
  questions: number;
}

export function createHub(options: HubOptions): Hub {
  const tasks = new Map<TaskId, TaskEvents>();
  const lists = createListChanges(options);

  function eventsOf(task: TaskId): TaskEvents {
    let events = tasks.get(task);
    if (events === undefined) {
      events = { sinks: new Set(), handles: new Map(), questions: 0 };
      tasks.set(task, events);
    }
    return events;
  }

  const sinksOf = (task: TaskId): Iterable<Sink> => tasks.get(task)?.sinks ?? [];
  const isInScope = (sink: Sink, connector: ConnectorId): boolean =>
    sink.scope === undefined || sink.scope === connector;
  // Under a connector's own path its URIs need no routing; elsewhere a server speaks only for what is routed to it.
  const isRouted = (sink: Sink, connector: ConnectorId, uri: string): boolean =>
    sink.scope === undefined ? options.connectorOf(uri) === connector : sink.scope === connector;

  function deliver(
    task: TaskId,
    connector: ConnectorId,
    needles: readonly Needle[],
    method: string,
    came: JsonObject,
  ): void {
    const list = LISTS.get(method);
    if (list !== undefined) {
      lists.announced(connector, list);
      return;
    }
    const params = readable(came, needles);
    if (params === undefined) return;
    const statusOf = TASK_STATUS.get(method);
    if (method === 'notifications/resources/updated') {
      const { uri } = params;
      if (typeof uri !== 'string') return;
      tell(task, method, params, (sink) => sink.wantsResource(uri) && isRouted(sink, connector, uri));
    } else if (LEGACY_ONLY.has(method)) {
      tell(task, method, params, (sink) => sink.era === 'legacy' && isInScope(sink, connector));
    } else if (statusOf !== undefined) {
      // The server's own id never reaches a client, and an McpTask that nobody here was told of is nobody's business.
      const taskId = hub.handleOf(task, connector, String(came.taskId));
      if (taskId === undefined) return;
      tell(task, method, { ...params, taskId }, (sink) => sink.era === statusOf && isInScope(sink, connector));
    } else {
      // Progress or cancellation of no request that we know of reaches nobody (fault 32), and so does what has no meaning here.
      options.log.debug(
        { connector, task, method: method.slice(0, 80) },
        'a notification outside requests was dropped',
      );
    }
  }

  function tell(task: TaskId, method: string, params: JsonObject, isMeant: (sink: Sink) => boolean): void {
    for (const sink of sinksOf(task)) {
      try {
        if (isMeant(sink)) sink.notify(method, params);
      } catch (error) {
        options.log.warn({ task, error: messageOf(error) }, 'a stream could not take a notification');
      }
    }
  }

  async function ask(
    task: TaskId,
    connector: ConnectorId,
    needles: readonly Needle[],
    method: string,
    params: JsonObject,
  ): Promise<ClientAnswer> {
    if (method === 'ping') return { result: {} };
    if (!isQuestionMethod(method)) return refused(RPC.methodNotFound, `${method.slice(0, 80)} is not served`);
    const sink = [...sinksOf(task)].find((one) => one.ask !== undefined && isInScope(one, connector));
    const events = tasks.get(task);
    if (sink?.ask === undefined || events === undefined) return refused(RPC.invalidRequest, 'no client can be asked');
    if (events.questions >= MAX_QUESTIONS) return refused(RPC.invalidRequest, 'too many questions are open');
    events.questions += 1;
    try {
      const question = await options.question(task, connector, method, params, needles);
      if ('error' in question) return question;
      const answer = await sink.ask(question);
      // The task may have changed while a person thought (guarantee D5).
      return 'error' in answer || (await question.confirm())
        ? answer
        : refused(RPC.invalidRequest, 'no longer permitted');
    } catch {
      return refused(RPC.internal, 'the client could not be asked');
    } finally {
      events.questions -= 1;
    }
  }

  const hub: Hub = {
    add(sink) {
      eventsOf(sink.task).sinks.add(sink);
      options.onWanted(sink.task);
      return () => {
        const events = tasks.get(sink.task);
        if (events?.sinks.delete(sink) !== true) return;
        if (events.sinks.size === 0 && events.handles.size === 0) tasks.delete(sink.task);
        options.onWanted(sink.task);
      };
    },
    changed: (task) => options.onWanted(task),
    wanted(task, connector) {
      const resources = new Set<string>();
      let isAnyList = false;
      for (const sink of sinksOf(task)) {
        if (!isInScope(sink, connector)) continue;
        isAnyList ||= KINDS.some((kind) => sink.wantsList(kind));
        for (const uri of sink.resources()) if (isRouted(sink, connector, uri)) resources.add(uri);
      }
      return isAnyList || resources.size > 0
        ? ({ lists: isAnyList, resources: [...resources] } satisfies Watch)
        : NOTHING;
    },
    eventsFor: (task, connector, needles) => ({
      notification: (method, params) => deliver(task, connector, needles, method, params),
      ask: (method, params) => ask(task, connector, needles, method, params),
    }),
    listChanged(connector, kind) {
      const method = `notifications/${kind}/list_changed`;
      for (const task of tasks.keys()) {
        tell(task, method, {}, (sink) => isInScope(sink, connector) && sink.wantsList(kind));
      }
    },
    knowMcpTask(task, connector, mcpTask, handle) {
      const { handles } = eventsOf(task);
      const key = `${connector} ${mcpTask}`;
      handles.delete(key);
      handles.set(key, handle);
      if (handles.size > MAX_HANDLES) handles.delete(handles.keys().next().value as string);
    },
    handleOf: (task, connector, mcpTask) => tasks.get(task)?.handles.get(`${connector} ${mcpTask}`),
    endTask(task) {
      const events = tasks.get(task);
      tasks.delete(task);
      for (const sink of events?.sinks ?? []) sink.close();
    },
    closeAll() {
      lists.close();
      for (const task of [...tasks.keys()]) hub.endTask(task);
    },
    get size() {
      let size = 0;
      for (const { sinks } of tasks.values()) size += sinks.size;
      return size;
    },
  };
  return hub;
}

/** Without the credential and without what people do not see (guarantee L6, attack A25). Undefined: nested deeper than can be looked through. */
function readable(came: JsonObject, needles: readonly Needle[]): JsonObject | undefined {
  // `_meta` is about the hop that it came by: a subscription of ours, a server's trace.
  const { _meta, ...params } = came;
  try {
    return withoutHiddenWithin(withholdWithin(params, needles)) as JsonObject;
  } catch {
    return undefined;
  }
}

const NOTHING: Watch = { lists: false, resources: [] };

const refused = (code: number, message: string): ClientAnswer => ({ error: { code, message } });
