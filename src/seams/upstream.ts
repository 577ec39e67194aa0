import type { Cancellation } from '../domain/cancellation.ts';
import type { Era } from '../domain/era.ts';
import type { ConnectorId, TaskId } from '../domain/ids.ts';
import type { JsonObject } from '../domain/json.ts';
import type { Secret } from '../domain/secret.ts';

/** Where an issued credential goes. Values are secrets; names are not. */
export interface CredentialInjection {
  readonly environment: Readonly<Record<string, Secret>>;
  readonly headers: Readonly<Record<string, Secret>>;
  /** By number, from 3: what a process reads there. */
  readonly descriptors?: Readonly<Record<string, Secret>>;
  /** Behind the command's own arguments: only where the owner said that the server has no other way. */
  readonly arguments?: readonly Secret[];
  /** The credential's parts by themselves: what must not come back, however it was put together above. */
  readonly parts?: readonly Secret[];
}

export const NO_CREDENTIAL: CredentialInjection = { environment: {}, headers: {} };

export interface RpcError {
  readonly code: number;
  readonly message: string;
  readonly data?: unknown;
}

/**
 * Reply of an upstream to one request, in the upstream's era and as the server sent it: a result, a result too large to hold, or an error.
 */
export type UpstreamReply = SmallResult | LargeResult | ErrorReply;

export interface SmallResult {
  readonly result: JsonObject;
  readonly resultText: string;
}

/**
 * JSON text of a result in pieces, read with backpressure. The reader gets one well-formed JSON object, or the iteration throws
 * `ERR_CONNECTOR_PROTOCOL`. Leaving the iteration early ends the exchange. Never holds `resultType` other than `complete`.
 */
export interface LargeResult {
  readonly resultChunks: AsyncIterable<Buffer>;
  /** For whoever is done with a piece, and knows that nobody else has it: its bytes may become another's. Optional to call. */
  readonly release?: ((piece: Buffer) => void) | undefined;
}

export interface ErrorReply {
  readonly error: RpcError;
}

/** Answer of a client to a question of a server. */
export type ClientAnswer = { readonly result: JsonObject } | ErrorReply;

/** What a server may say to the client while a request of the client is under way. */
export interface ServerMessages {
  /** A notification about this request: `notifications/progress` (carrying the call's own `progressToken`) or `notifications/message`. */
  notify(method: string, params: JsonObject): void;
  /**
   * Progress of this request that is written plainly, in place of `notify`. Optional.
   * @param members JSON text without braces and without `progressToken`: numbers, and text of printable ASCII without escapes
   */
  plainProgress?(members: string): void;
  /** A request of the server to the client, such as `elicitation/create`. Never rejects; answers with an error instead. */
  ask(method: string, params: JsonObject): Promise<ClientAnswer>;
}

/** One request to an upstream. */
export interface UpstreamCall {
  readonly method: string;
  /** JSON text of the members of `params`, without braces and without `_meta`: `"name":"x","arguments":{}`. May be empty. */
  readonly params: string;
  /** JSON text of the members of `_meta` that the gateway sends, without braces: `"traceparent":"…"`. May be empty. Era's own are added. */
  readonly meta: string;
  /** Milliseconds. The time that a question to the client takes does not count. */
  readonly timeoutMs: number;
  readonly cancellation?: Cancellation | undefined;
  /** Unique in the gateway. Written into `_meta`; progress under another token is dropped (fault 32). */
  readonly progressToken?: string | undefined;
  /** Absent: notifications are dropped and questions refused. */
  readonly client?: ServerMessages | undefined;
  /** Least level of log messages that the client wants; undefined: what the server does of itself. */
  readonly logLevel?: string | undefined;
  /** Modern HTTP: value of `Mcp-Name`, plain text; encoded by the adapter. */
  readonly name?: string | undefined;
  /** Modern HTTP: `Mcp-Param-*` headers, name, value, name, value; values plain text, encoded by the adapter. */
  readonly paramHeaders?: readonly string[] | undefined;
}

/** What a connection is to be told of outside requests. */
export interface Watch {
  /** `notifications/{tools,prompts,resources}/list_changed`. */
  readonly lists: boolean;
  /** `notifications/resources/updated` of these URIs. */
  readonly resources: readonly string[];
}

/** One live wire connection to a connector, held by one task with one credential (guarantee I1). */
export interface Upstream {
  readonly era: Era;
  /** Revision that was agreed on. */
  readonly protocolVersion: string;
  /** As the server declared them. */
  readonly capabilities: JsonObject;
  /**
   * Sends one JSON-RPC request under an id of our own and waits for its reply. Never retried once written (I2).
   * @throws `ERR_CONNECTOR_TIMEOUT`, `ERR_CONNECTOR_PROTOCOL`, `ERR_CONNECTOR_UNREACHABLE`
   */
  request(call: UpstreamCall): Promise<UpstreamReply>;
  /** Sends a notification; best effort. `params` as in `UpstreamCall`. */
  notify(method: string, params: string): void;
  /**
   * What the server is to tell outside requests; replaces what was asked for before. Legacy: opens the GET stream (HTTP) and sends
   * `resources/subscribe` or `/unsubscribe` for the difference. Modern: (re)opens `subscriptions/listen`.
   * @throws as `request`, when the server refuses a resource
   */
  watch(wanted: Watch): Promise<void>;
  /** Ends the connection and, for stdio, the process with all its descendants. Idempotent. */
  close(): Promise<void>;
  /** Resolves when the connection is gone, for whatever reason. */
  readonly closed: Promise<void>;
  /** Process id of a stdio child, for the record and for tests. */
  readonly pid: number | undefined;
}

/** What is heard outside requests. */
export interface UpstreamEvents {
  notification(method: string, params: JsonObject): void;
  /** A question that belongs to no request under way. Never rejects. */
  ask(method: string, params: JsonObject): Promise<ClientAnswer>;
}

export interface OpenUpstream {
  readonly connector: ConnectorId;
  readonly task: TaskId;
  readonly injection: CredentialInjection;
  /** Milliseconds, for the whole opening. */
  readonly timeoutMs: number;
  /** Calls the opening off, handshake included: whatever it has started is ended, and `open` rejects. */
  readonly cancellation?: Cancellation | undefined;
  /** Era to open in where the server speaks both; the other one where it does not. */
  readonly prefer: Era;
  /** What the server may ask the client for (`elicitation`, `sampling`, `roots`): MCP `ClientCapabilities`. */
  readonly clientCapabilities: JsonObject;
  readonly events?: UpstreamEvents | undefined;
}

/** Opens connections to one connector, handshake included. Cardinality: one per connector. */
export interface UpstreamOpener {
  open(request: OpenUpstream): Promise<Upstream>;
}
