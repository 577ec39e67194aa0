import type { Era } from '../../domain/era.ts';
import type { ConnectorId, TaskId } from '../../domain/ids.ts';
import type { JsonObject } from '../../domain/json.ts';
import type { ClientAnswer, UpstreamEvents, Watch } from '../../seams/upstream.ts';
import type { Question } from '../client-request.ts';
import type { Needle } from '../stages/withhold-secrets.ts';

export type ListKind = 'tools' | 'prompts' | 'resources';

/** A client's open stream: the GET stream of a legacy session, or a modern `subscriptions/listen`. */
export interface Sink {
  readonly era: Era;
  readonly task: TaskId;
  /** The connector whose own path it is for; undefined: all. */
  readonly scope: ConnectorId | undefined;
  /** Whether it wants to hear of changed lists. */
  wantsList(kind: ListKind): boolean;
  /** Whether it subscribed to a resource. */
  wantsResource(uri: string): boolean;
  /** The resources that it subscribed to. */
  resources(): Iterable<string>;
  notify(method: string, params: JsonObject): void;
  /** Legacy only: a question outside any request. Undefined when the client cannot be asked. */
  ask?: ((question: Question) => Promise<ClientAnswer>) | undefined;
  /** The task has ended, or the gateway stops. */
  close(): void;
}

/** Joins what upstreams say outside requests with the clients that listen. */
export interface Hub {
  /** Adds a sink; the returned function takes it away. Sinks may change what they want: call `changed`. */
  add(sink: Sink): () => void;
  /** What a sink of this task wants has changed: connections of the task are told to watch. */
  changed(task: TaskId): void;
  /** What the connections of a task to a connector should watch, over all sinks of the task. */
  wanted(task: TaskId, connector: ConnectorId): Watch;
  /** For `OpenUpstream.events`. @param needles of the lease that the connection carries: what must not come back from it (guarantee L6) */
  eventsFor(task: TaskId, connector: ConnectorId, needles: readonly Needle[]): UpstreamEvents;
  /** Tells every sink that may see the connector that a list has changed. */
  listChanged(connector: ConnectorId, kind: ListKind): void;
  /** Remembers the handle under which clients of a task know an upstream's McpTask, so that its notifications reach them under that. */
  knowMcpTask(task: TaskId, connector: ConnectorId, mcpTask: string, handle: string): void;
  /** The handle, if it is remembered. */
  handleOf(task: TaskId, connector: ConnectorId, mcpTask: string): string | undefined;
  endTask(task: TaskId): void;
  closeAll(): void;
  readonly size: number;
}
