import type { RecordType } from '../domain/record.ts';

/**
 * Classes of the Open Cybersecurity Schema Framework, 1.8.0 (https://schema.ocsf.io/1.8.0), that records become. An activity of 99 is named by
 * the record.
 */
export const OCSF_VERSION = '1.8.0';

export interface OcsfClass {
  readonly uid: number;
  readonly name: string;
  readonly category: number;
}

/** A lease is an account that is made and removed; a task is a session that is given privileges; a call is an operation of an API; what moves a risk is a finding. */
export const OCSF_CLASSES = {
  detectionFinding: { uid: 2004, name: 'Detection Finding', category: 2 },
  accountChange: { uid: 3001, name: 'Account Change', category: 3 },
  authentication: { uid: 3002, name: 'Authentication', category: 3 },
  authorizeSession: { uid: 3003, name: 'Authorize Session', category: 3 },
  entityManagement: { uid: 3004, name: 'Entity Management', category: 3 },
  applicationLifecycle: { uid: 6002, name: 'Application Lifecycle', category: 6 },
  apiActivity: { uid: 6003, name: 'API Activity', category: 6 },
  base: { uid: 0, name: 'Base Event', category: 0 },
} as const satisfies Readonly<Record<string, OcsfClass>>;

export type OcsfClassName = keyof typeof OCSF_CLASSES;

interface Mapping {
  readonly class: OcsfClassName;
  readonly activity: number;
  readonly activityName: string;
}

/** A type that is not here, as a later Remit may write, becomes a base event: exported, and not misfiled. */
export const OCSF_OF_TYPE: Readonly<Partial<Record<RecordType, Mapping>>> = {
  gateway_started: { class: 'applicationLifecycle', activity: 3, activityName: 'Start' },
  gateway_stopped: { class: 'applicationLifecycle', activity: 4, activityName: 'Stop' },
  connector_started: { class: 'applicationLifecycle', activity: 3, activityName: 'Start' },
  task_started: { class: 'authorizeSession', activity: 1, activityName: 'Assign Privileges' },
  task_adopted: { class: 'authorizeSession', activity: 1, activityName: 'Assign Privileges' },
  task_ended: { class: 'authentication', activity: 2, activityName: 'Logoff' },
  token_issued: { class: 'authentication', activity: 4, activityName: 'Service Ticket Request' },
  authentication_refused: { class: 'authentication', activity: 1, activityName: 'Logon' },
  credential_intended: { class: 'accountChange', activity: 99, activityName: 'Intended' },
  credential_issued: { class: 'accountChange', activity: 1, activityName: 'Create' },
  revocation: { class: 'accountChange', activity: 6, activityName: 'Delete' },
  task_suspended: { class: 'entityManagement', activity: 12, activityName: 'Suspend' },
  task_resumed: { class: 'entityManagement', activity: 13, activityName: 'Resume' },
  revocation_applied: { class: 'entityManagement', activity: 3, activityName: 'Update' },
  denial_began: { class: 'applicationLifecycle', activity: 7, activityName: 'Disable' },
  denial_ended: { class: 'applicationLifecycle', activity: 6, activityName: 'Enable' },
  approval_requested: { class: 'entityManagement', activity: 99, activityName: 'Request Approval' },
  approval_verdict: { class: 'entityManagement', activity: 99, activityName: 'Approval Verdict' },
  approval_used: { class: 'apiActivity', activity: 99, activityName: 'Use Approval' },
  approval_ended: { class: 'entityManagement', activity: 99, activityName: 'Approval Ended' },
  administration: { class: 'entityManagement', activity: 3, activityName: 'Update' },
  discovery: { class: 'apiActivity', activity: 2, activityName: 'Read' },
  prompt: { class: 'apiActivity', activity: 99, activityName: 'Prompt' },
  decision: { class: 'apiActivity', activity: 99, activityName: 'Decide' },
  evaluation: { class: 'apiActivity', activity: 99, activityName: 'Evaluate' },
  shadow: { class: 'apiActivity', activity: 99, activityName: 'Compare Policies' },
  signal: { class: 'detectionFinding', activity: 1, activityName: 'Create' },
  credential_used: { class: 'apiActivity', activity: 99, activityName: 'Use Credential' },
  outcome: { class: 'apiActivity', activity: 99, activityName: 'Call' },
  recovery_mark: { class: 'applicationLifecycle', activity: 99, activityName: 'Mark' },
  checkpoint_seen: { class: 'entityManagement', activity: 2, activityName: 'Read' },
  segment_shipped: { class: 'entityManagement', activity: 99, activityName: 'Ship' },
  records_removed: { class: 'entityManagement', activity: 4, activityName: 'Delete' },
  content_read: { class: 'apiActivity', activity: 2, activityName: 'Read' },
};
