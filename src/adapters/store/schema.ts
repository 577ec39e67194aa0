import type { Generated, Kysely } from 'kysely';

/**
 * The tables as kysely sees them; `migrations.ts` makes them. Times are whole milliseconds (seconds in `oauth`), truths
 * are 0 or 1, lists are JSON text, bytes are `Buffer` (`ArrayBuffer` when libsql reads them: see `columns.ts`).
 */
export interface Schema {
  tasks: TaskTable;
  leases: LeaseTable;
  revocations: RevocationTable;
  revocation_heads: RevocationHeadTable;
  approvals: ApprovalTable;
  approval_verdicts: ApprovalVerdictTable;
  secrets: SecretTable;
  task_keys: TaskKeyTable;
  signing_keys: SigningKeyTable;
  oauth: OAuthTable;
  inventory_agents: InventoryAgentTable;
  inventory_connectors: InventoryConnectorTable;
  inventory_tools: InventoryToolTable;
  inventory_pins: InventoryPinTable;
  inventory_grants: InventoryGrantTable;
  risk_history: RiskHistoryTable;
  stored_marks: StoredMarkTable;
  canaries: CanaryTable;
  nodes: NodeTable;
  task_places: TaskPlaceTable;
  trail_heads: TrailHeadTable;
  pace_counts: PaceCountTable;
  risk_scores: RiskScoreTable;
  risk_heads: RevocationHeadTable;
  risk_causes: RiskCauseTable;
  policy_sets: PolicySetTable;
}

/** The database or one transaction on it. */
export type Queries = Kysely<Schema>;

/** Runs several statements as one: in the running transaction where there is one, else in its own. */
export type Atomically = <T>(work: (queries: Queries) => Promise<T>) => Promise<T>;

export interface TaskTable {
  tenant: string;
  id: string;
  agent: string;
  user_issuer: string | null;
  user_subject: string | null;
  user_groups: string | null;
  template: string;
  purpose: string;
  action_classes: string;
  tools: string;
  resources: string;
  calls: number;
  parent: string | null;
  trace: string;
  state: 'active' | 'suspended' | 'ended';
  end_reason: string | null;
  started_at: number;
  expires_at: number;
  ended_at: number | null;
  log_position: number;
}

export interface RevocationTable {
  tenant: string;
  position: number;
  at: number;
  by: string;
  reason: string;
  action: string;
  kind: string;
  subject: string;
}

/** The counter of each tenant’s log. Its row is locked from an append until that is durable, so that no position is seen before one below it. */
export interface RevocationHeadTable {
  tenant: string;
  position: number;
}

export interface ApprovalTable {
  tenant: string;
  id: string;
  task: string;
  trace: string;
  span: string;
  user_key: string | null;
  agent: string;
  actors: string;
  workload: string;
  connector: string;
  tool: string;
  method: string;
  call_key: string;
  tool_key: string;
  policies: string;
  reason: string;
  policy_version: string;
  step_up: string;
  state: string;
  scope: string;
  uses_left: number;
  log_position: number;
  requested_at: number;
  expires_at: number;
  decided_at: number | null;
  ended_at: number | null;
  end_reason: string | null;
  key_id: string | null;
  envelope: Buffer | null;
}

export interface ApprovalVerdictTable {
  tenant: string;
  approval: string;
  approver: string;
  via: string;
  verdict: string;
  uses: number;
  reason: string;
  terms: string;
  at: number;
}

export interface LeaseTable {
  tenant: string;
  id: string;
  task: string;
  agent: string;
  connector: string;
  mode: string;
  tool: string | null;
  issuer: string;
  downstream: string;
  tag: string;
  state: string;
  revocation: string;
  scope: string;
  intended_at: number;
  issue_deadline: number;
  expires_at: number;
  native_expires_at: number | null;
  ended_at: number | null;
  end_reason: string | null;
  attempts: number;
  last_error: string | null;
  handle_key_id: string | null;
  handle_envelope: Buffer | null;
  uses: number;
  failing_since: number | null;
  claimed_by: string;
  claimed_until: number;
  fence: number;
}

export interface SecretTable {
  tenant: string;
  name: string;
  version: number;
  key_id: string;
  envelope: Buffer;
  created_at: number;
  fingerprint: string | null;
}

export interface TaskKeyTable {
  tenant: string;
  task: string;
  key_id: string;
  envelope: Buffer;
  created_at: number;
}

export interface SigningKeyTable {
  kid: string;
  purpose: 'task_token' | 'connector';
  state: 'current' | 'retired';
  key_id: string;
  envelope: Buffer;
  created_at: number;
  retires_at: number | null;
}

export interface OAuthTable {
  model: string;
  id: string;
  payload: string;
  grant_id: string | null;
  uid: string | null;
  expires_at: number | null;
  consumed_at: number | null;
}

export interface RiskHistoryTable {
  tenant: string;
  scope: string;
  kind: string;
  value: string;
  first_at: number;
}

export interface InventoryAgentTable {
  tenant: string;
  id: string;
  owner: string;
  environment: string;
  zone: string;
}

export interface InventoryConnectorTable extends InventoryAgentTable {
  transport: string;
  credential: string;
  exception_owner: string | null;
  exception_reason: string | null;
  exception_expires: string | null;
}

export interface InventoryToolTable {
  tenant: string;
  connector: string;
  name: string;
  fingerprint: string;
  definition: string;
  status: string;
  action_class: string | null;
  approved_by: string | null;
  first_seen_at: number;
  last_seen_at: number;
}

export interface InventoryPinTable {
  tenant: string;
  connector: string;
  name: string;
  fingerprint: string;
  definition: string;
  pinned_at: number;
}

export interface InventoryGrantTable {
  tenant: string;
  agent: string;
  template: string;
  template_owner: string;
  purpose: string;
  action_classes: string;
  tools: string;
  resources: string;
  calls: number;
  max_duration_seconds: number;
  requires_user: number;
}

export interface StoredMarkTable {
  tenant: string;
  /** Digest of connector, names and labels. */
  id: string;
  connector: string;
  /** Empty: of the whole connector. */
  names: string;
  labels: string;
  marked_at: number;
}

export interface CanaryTable {
  tenant: string;
  id: string;
  zone: string;
  length: number;
  tag: number;
  mac: string;
  created_at: number;
  created_by: string;
}

export interface NodeTable {
  tenant: string;
  name: string;
  life: number;
  address: string;
  version: string;
  policy_version: string;
  joined_at: number;
  expires_at: number;
  /** 1: its tasks are anybody's, and it has to join again. */
  is_buried: number;
  policy_since: Generated<number>;
  connections: Generated<number>;
}

export interface TaskPlaceTable {
  tenant: string;
  task: string;
  family: string;
  owner: string;
  fence: number;
  calls: number;
  /** JSON of the rest of the memory. */
  memory: string;
}

export interface TrailHeadTable {
  tenant: string;
  origin: string;
  node: string;
  key: string;
  size: number;
  checkpoint: string;
  published_at: number;
  /** 1: given up for a new journal of that node. */
  is_superseded: number;
}

export interface PaceCountTable {
  tenant: string;
  pace: string;
  /** Empty: calls that were made, by whomever; else what somebody may still make. */
  holder: string;
  counts_until: number;
  calls: number;
}

export interface RiskScoreTable {
  tenant: string;
  subject: string;
  score: number;
  at: number;
  position: number;
  /** 0: nobody has. */
  cleared_at: number;
}

export interface RiskCauseTable {
  tenant: string;
  cause: string;
  at: number;
}

export interface PolicySetTable {
  tenant: string;
  position: number;
  /** Of the texts. */
  digest: string;
  /** Of the newest alone. */
  sealed: string | null;
}
