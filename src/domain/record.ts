import type { AgentId, ConnectorId, LeaseId, TaskId, TenantId, ToolRef, TraceId } from './ids.ts';

/** Separate types, joined by `trace` (guarantee A2). */
export const RECORD_TYPES = [
  'gateway_started',
  'gateway_stopped',
  'task_started',
  'task_suspended',
  'task_resumed',
  'task_adopted',
  'task_ended',
  'token_issued',
  'prompt',
  'authentication_refused',
  'discovery',
  'connector_started',
  'decision',
  'evaluation',
  'shadow',
  'credential_intended',
  'credential_issued',
  'credential_used',
  'outcome',
  'revocation',
  'revocation_applied',
  'denial_began',
  'denial_ended',
  'deviation',
  'signal',
  'approval_requested',
  'approval_verdict',
  'approval_used',
  'approval_ended',
  'administration',
  'content_read',
  'recovery_mark',
  'records_removed',
  'checkpoint_seen',
  'segment_shipped',
] as const;
export type RecordType = (typeof RECORD_TYPES)[number];

/**
 * Decision inputs sealed under the task's key, as a piece of a keystream (AES-256-CTR): the log's hashes cover the ciphertext, so the key can be
 * erased (A5). Bytes are base64.
 */
export interface SealedContent {
  /** Name of the key. */
  readonly key: string;
  /** Nonce of the stream, 96 bits. */
  readonly stream: string;
  /** Where in the stream it begins, in bytes. */
  readonly at: number;
  /** SHA-256 of the task's salt and the content, hex. */
  readonly digest: string;
  readonly ciphertext: string;
}

/** One audit event. Every field that is known is present; absent ones are left out, never invented. */
export interface AuditRecord {
  /** Position in the log, from 0. */
  readonly seq: number;
  /** RFC 3339, UTC, milliseconds. */
  readonly time: string;
  readonly type: RecordType;
  readonly tenant: TenantId;
  readonly trace?: TraceId;
  /** Joins the records of one call: 16 hex digits (W3C span id). */
  readonly span?: string;
  readonly user?: string;
  readonly agent?: AgentId;
  readonly actors?: readonly AgentId[];
  readonly workload?: string;
  readonly connector?: ConnectorId;
  /** Ref of the item: a tool, a resource or a prompt. */
  readonly tool?: ToolRef;
  readonly task?: TaskId;
  readonly lease?: LeaseId;
  readonly detail: Readonly<Record<string, unknown>>;
  readonly sealed?: SealedContent;
}
