/** Branded identifiers. An id alone never authorises anything (guarantee I1). */

type Brand<B extends string> = string & { readonly __brand: B };

export type TenantId = Brand<'TenantId'>;
export type AgentId = Brand<'AgentId'>;
export type ConnectorId = Brand<'ConnectorId'>;
export type TemplateId = Brand<'TemplateId'>;
export type TaskId = Brand<'TaskId'>;
export type LeaseId = Brand<'LeaseId'>;
export type ApprovalId = Brand<'ApprovalId'>;
/** W3C trace id: 32 lower-case hex digits. One a task, carried by every record of it. */
export type TraceId = Brand<'TraceId'>;
/** `connector/tool`, with the tool's own name as the server gives it. */
export type ToolRef = Brand<'ToolRef'>;

export const tenantId = (value: string): TenantId => value as TenantId;
export const agentId = (value: string): AgentId => value as AgentId;
export const connectorId = (value: string): ConnectorId => value as ConnectorId;
export const templateId = (value: string): TemplateId => value as TemplateId;
export const taskId = (value: string): TaskId => value as TaskId;
export const leaseId = (value: string): LeaseId => value as LeaseId;
export const approvalId = (value: string): ApprovalId => value as ApprovalId;
export const traceId = (value: string): TraceId => value as TraceId;

/** Connector ids hold no slash, tool names may. */
export function toolRef(connector: ConnectorId, tool: string): ToolRef {
  return `${connector}/${tool}` as ToolRef;
}

/** Source of random bytes; injected, so that the domain stays deterministic. */
export type RandomBytes = (size: number) => Uint8Array;

const ALPHABET = '0123456789abcdefghjkmnpqrstvwxyz';

function randomName(random: RandomBytes): string {
  let name = '';
  for (const byte of random(24)) name += ALPHABET[byte & 31];
  return name;
}

/** 120 random bits as 24 characters of `[0-9a-z]`: safe inside a PostgreSQL role name. */
export const newTaskId = (random: RandomBytes): TaskId => `tsk_${randomName(random)}` as TaskId;
export const newLeaseId = (random: RandomBytes): LeaseId => `lse_${randomName(random)}` as LeaseId;
export const newApprovalId = (random: RandomBytes): ApprovalId => `apr_${randomName(random)}` as ApprovalId;

export function newTraceId(random: RandomBytes): TraceId {
  return Buffer.from(random(16)).toString('hex') as TraceId;
}
