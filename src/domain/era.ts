/**
 * Protocol eras of MCP. *Legacy*: revisions with an `initialize` handshake and, over HTTP, sessions. *Modern*: stateless, each request
 * carries what a handshake used to settle.
 */
export type Era = 'legacy' | 'modern';

export const MODERN_VERSION = '2026-07-28';

/** Legacy revisions that the edge speaks, newest first. */
export const LEGACY_VERSIONS = ['2025-11-25', '2025-06-18', '2025-03-26'] as const;

/** Every revision that the edge speaks, newest first; `supported` of an UnsupportedProtocolVersion error. */
export const PROTOCOL_VERSIONS: readonly string[] = [MODERN_VERSION, ...LEGACY_VERSIONS];

/** Keys of the modern envelope, in `params._meta`. */
export const META = {
  protocolVersion: 'io.modelcontextprotocol/protocolVersion',
  clientCapabilities: 'io.modelcontextprotocol/clientCapabilities',
  clientInfo: 'io.modelcontextprotocol/clientInfo',
  logLevel: 'io.modelcontextprotocol/logLevel',
  subscriptionId: 'io.modelcontextprotocol/subscriptionId',
  /** In `_meta` of results. */
  serverInfo: 'io.modelcontextprotocol/serverInfo',
} as const;

/** Error codes of the protocol beyond JSON-RPC's own. */
export const RPC = {
  parse: -32700,
  invalidRequest: -32600,
  methodNotFound: -32601,
  invalidParams: -32602,
  internal: -32603,
  /** ≤ 2025-11-25; −32602 in 2026-07-28. */
  resourceNotFound: -32002,
  headerMismatch: -32020,
  missingCapability: -32021,
  unsupportedVersion: -32022,
  /** Ours: outside the range that JSON-RPC and MCP keep for themselves. */
  notServed: -31000,
  /** Ours: a decision. For methods whose results have no `isError`. */
  denied: -31001,
} as const;
