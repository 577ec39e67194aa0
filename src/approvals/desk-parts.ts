import type { Approval } from '../domain/approval.ts';
import type { AgentId, ApprovalId, RandomBytes, TenantId } from '../domain/ids.ts';
import type { AuditRecord } from '../domain/record.ts';
import type { Clock, Log, Schedule } from '../seams/clock.ts';
import type { Notifier } from '../seams/notifier.ts';
import type { ApprovalRepository, SealedHandle } from '../seams/store.ts';
import type { ApproverDirectory } from './may-approve.ts';
import type { Waiting } from './waiting.ts';

/** What a record of an approval is made of; whoever writes it adds time and place. */
export type ApprovalRecord = Pick<
  AuditRecord,
  'trace' | 'span' | 'user' | 'agent' | 'actors' | 'workload' | 'connector' | 'tool' | 'task'
> & {
  readonly type: 'approval_requested' | 'approval_verdict' | 'approval_used' | 'approval_ended';
  readonly detail: Readonly<Record<string, unknown>>;
};

export type ApprovalEvent = 'requested' | 'approved' | 'denied' | 'used' | 'expired' | 'ended';

/** What approvals need of the rest. */
export interface DeskParts {
  readonly tenant: TenantId;
  readonly repository: ApprovalRepository;
  /** Durable when it resolves. */
  readonly record: (entry: ApprovalRecord) => Promise<unknown>;
  readonly recordLater: (entry: ApprovalRecord) => void;
  /** 32 bytes, the same on every node of the store. */
  readonly bindingKey: Buffer;
  readonly content: {
    seal(id: ApprovalId, text: string): Promise<SealedHandle>;
    open(id: ApprovalId, sealed: SealedHandle): Promise<string>;
  };
  readonly directory: ApproverDirectory;
  readonly ownerOf: (agent: AgentId) => string | undefined;
  /** How far the revocation log has been read here. */
  readonly logPosition: () => number;
  readonly urlOf: (id: ApprovalId) => string;
  readonly notifiers: readonly Notifier[];
  /** Counted for operators (M7): how often people are asked, and how long they take, in seconds. */
  readonly count: (event: ApprovalEvent, seconds?: number) => void;
  /** Approvals that one task may ask for: people who are asked too often agree to anything (attack A46). */
  readonly perTask: number;
  readonly clock: Clock;
  readonly schedule: Schedule;
  readonly random: RandomBytes;
  readonly log: Log;
}

/** The same with the calls that wait here. */
export interface Desk extends DeskParts {
  readonly waiting: Waiting;
}

/** Identity of the call that an approval is about, for its records. */
export function identityOfApproval(
  approval: Approval,
): Pick<ApprovalRecord, 'trace' | 'span' | 'user' | 'agent' | 'actors' | 'workload' | 'connector' | 'tool' | 'task'> {
  const { trace, span, user, agent, actors, workload, connector, tool, task } = approval;
  return { trace, span, ...(user !== undefined && { user }), agent, actors, workload, connector, tool, task };
}
