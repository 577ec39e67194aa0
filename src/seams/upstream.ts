import type { ConnectorId, TaskId } from '../domain/ids.ts';
import type { Secret } from '../domain/secret.ts';

/** Where an issued credential goes. Values are secrets; names are not. */
export interface CredentialInjection {
  readonly environment: Readonly<Record<string, Secret>>;
  readonly headers: Readonly<Record<string, Secret>>;
}

export const NO_CREDENTIAL: CredentialInjection = { environment: {}, headers: {} };

/** Reply of an upstream to one request: exactly one of `result` and `error`, as the server sent it. */
export type UpstreamReply =
  | { readonly result: Readonly<Record<string, unknown>>; readonly resultText: string }
  | { readonly error: { readonly code: number; readonly message: string; readonly data?: unknown } };

/** One live wire connection to a connector, held by one task with one credential (guarantee I1). */
export interface Upstream {
  /**
   * Sends one JSON-RPC request under an id of our own and waits for its reply. Never retried once written (I2).
   * @param params JSON text of `params`, sent byte for byte
   * @throws `ERR_CONNECTOR_TIMEOUT`, `ERR_CONNECTOR_PROTOCOL`, `ERR_CONNECTOR_UNREACHABLE`
   */
  request(method: string, params: string, options: { signal?: AbortSignal; timeoutMs: number }): Promise<UpstreamReply>;
  /** Ends the connection and, for stdio, the process with all its descendants. Idempotent. */
  close(): Promise<void>;
  /** Resolves when the connection is gone, for whatever reason. */
  readonly closed: Promise<void>;
  /** Process id of a stdio child, for the record and for tests. */
  readonly pid: number | undefined;
}

export interface OpenUpstream {
  readonly connector: ConnectorId;
  readonly task: TaskId;
  readonly injection: CredentialInjection;
  readonly timeoutMs: number;
  /** Calls the opening off, handshake included: whatever it has started is ended, and `open` rejects. */
  readonly signal?: AbortSignal;
}

/** Opens connections to one connector, MCP handshake included. Cardinality: one per connector. */
export interface UpstreamOpener {
  open(request: OpenUpstream): Promise<Upstream>;
}
