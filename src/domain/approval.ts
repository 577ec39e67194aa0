import type { AgentId, ApprovalId, ConnectorId, TaskId, TenantId, ToolRef, TraceId } from './ids.ts';
import type { StepUp } from './step-up.ts';

export const APPROVAL_STATES = ['pending', 'approved', 'used', 'denied', 'expired', 'ended'] as const;

/**
 * `pending` → `approved` → `used`; `denied` by one person, `expired` by time, `ended` by whatever else takes it away: a revocation, the end of its
 * task. `approved` with uses left may be used until it expires.
 */
export type ApprovalState = (typeof APPROVAL_STATES)[number];

/** What people are asked about one held call, and what became of it (guarantee D5). Times are milliseconds since the epoch. */
export interface Approval {
  readonly id: ApprovalId;
  readonly tenant: TenantId;
  readonly task: TaskId;
  readonly trace: TraceId;
  /** Of the call that asked first. */
  readonly span: string;
  /** `issuer#subject` of the task's user. */
  readonly user: string | undefined;
  readonly agent: AgentId;
  readonly actors: readonly AgentId[];
  readonly workload: string;
  readonly connector: ConnectorId;
  readonly tool: ToolRef;
  readonly method: string;
  /** Keyed digest of everything that the verdict is about, arguments included. */
  readonly callKey: string;
  /** The same without arguments and where they came from. */
  readonly toolKey: string;
  readonly policies: readonly string[];
  readonly reason: string;
  readonly policyVersion: string;
  readonly stepUp: StepUp;
  readonly state: ApprovalState;
  /** `task`: of the item, with any arguments. */
  readonly scope: 'call' | 'task';
  readonly usesLeft: number;
  /** How far the revocation log was known when it was asked for: a later row about it takes it away. */
  readonly logPosition: number;
  readonly requestedAt: number;
  readonly expiresAt: number;
  readonly decidedAt: number | undefined;
  readonly endedAt: number | undefined;
  readonly endReason: string | undefined;
}

/** Whether a verdict on it, or a use of it, may still come. */
export const isOpen = ({ state }: Pick<Approval, 'state'>): boolean => state === 'pending' || state === 'approved';

/** A person who has proven who they are to something that agents cannot speak for (guarantee A6). */
export interface Approver {
  /** `os:<account>`, or `issuer#subject` as an identity provider vouched for them. */
  readonly id: string;
  /** `issuer#group`. */
  readonly groups: readonly string[];
  /** What else they are called: a verified e-mail address. */
  readonly names: readonly string[];
  readonly via: 'command line' | 'link' | 'sign-in';
}

/** What one person said of one approval: the last word of that person. */
export interface Verdict {
  readonly approval: ApprovalId;
  /** Id of the approver. */
  readonly approver: string;
  readonly via: Approver['via'];
  readonly verdict: 'approve' | 'deny';
  /** Uses that the item is approved for over the rest of the task; 0: the one call. */
  readonly uses: number;
  readonly reason: string;
  /** The terms, by `by`, that this person's word counts for. */
  readonly terms: readonly string[];
  readonly at: number;
}
