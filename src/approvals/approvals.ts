import type { Approval, Approver } from '../domain/approval.ts';
import type { Cancellation } from '../domain/cancellation.ts';
import { messageOf } from '../domain/errors.ts';
import type { ApprovalId, ConnectorId, TaskId } from '../domain/ids.ts';
import { type Desk, type DeskParts, identityOfApproval } from './desk-parts.ts';
import { giveVerdict, type Said } from './give-verdict.ts';
import type { HeldCall } from './held-call.ts';
import { isApproverOf } from './may-approve.ts';
import { findApproval, requestApproval } from './request-approval.ts';
import { createWaiting, type Waited } from './waiting.ts';

/** What the pipeline uses: nothing here takes a verdict (guarantee A6). */
export interface HeldCalls {
  /** What has been said of this very call, or is being asked. */
  find(call: HeldCall): Promise<Approval | undefined>;
  /** `too_many`: the task has asked as often as it may. */
  request(call: HeldCall): Promise<Approval | 'too_many'>;
  /** Takes one use, and puts it on the trail; false when there is none to take. */
  use(approval: Approval, call: HeldCall): Promise<boolean>;
  wait(approval: Approval, limitMs: number, cancellation: Cancellation): Promise<Waited>;
  readonly urlOf: (id: ApprovalId) => string;
  /** The gateway stops: calls that wait are answered, their approvals stay. */
  release(): void;
}

/** All of it, for whoever speaks for people. */
export interface Approvals extends HeldCalls {
  /** @throws `ERR_NOT_FOUND`, `ERR_APPROVAL_REFUSED` */
  give(id: ApprovalId, approver: Approver, said: Said): Promise<Approval>;
  /** Whether a person may look at it and say anything of it. */
  mayJudge(approver: Approver, approval: Approval): boolean;
  /** The arguments of a call that waits, JSON text; undefined once it is over. */
  argumentsOf(id: ApprovalId): Promise<string | undefined>;
  /** Calls of the task that wait go no further, at once. */
  bar(task: TaskId): void;
  /** Ends what is open of a task (guarantee V2). */
  endTask(task: TaskId, reason: string): Promise<void>;
  /** The same of a connector that is suspended. */
  endConnector(connector: ConnectorId, reason: string): Promise<void>;
  /** Another process may have taken verdicts: who waits for them goes on at once. */
  lookNow(): void;
  /** Ends what nobody has decided or used in time. */
  sweep(): Promise<void>;
}

export function createApprovals(parts: DeskParts): Approvals {
  const { tenant, repository, clock, schedule, log } = parts;
  const waiting = createWaiting({ clock, schedule, look: (id) => repository.get(tenant, id) });
  const desk: Desk = { ...parts, waiting };

  function noteEnded(ended: readonly Approval[], state: 'expired' | 'ended', reason: string): void {
    for (const approval of ended) {
      parts.recordLater({
        type: 'approval_ended',
        ...identityOfApproval(approval),
        detail: { approval: approval.id, state, was: approval.state, reason },
      });
      parts.count(state);
      waiting.settle({ ...approval, state, endReason: reason });
    }
  }

  return {
    urlOf: parts.urlOf,
    find: (call) => findApproval(desk, call),
    request: (call) => requestApproval(desk, call),
    async use(approval, call) {
      if (!(await repository.use(tenant, approval.id, clock()))) return false;
      await parts.record({
        type: 'approval_used',
        ...identityOfApproval({ ...approval, span: call.span }),
        detail: { approval: approval.id, scope: approval.scope, asked: approval.span },
      });
      parts.count('used');
      return true;
    },
    wait: waiting.wait,
    give: (id, approver, said) => giveVerdict(desk, id, approver, said),
    mayJudge: (approver, approval) => isApproverOf(parts.directory, approver, approval),
    async argumentsOf(id) {
      const sealed = await repository.content(tenant, id);
      return sealed === undefined ? undefined : parts.content.open(id, sealed);
    },
    bar: waiting.bar,
    lookNow: waiting.lookNow,
    async endTask(task, reason) {
      noteEnded(await repository.end(tenant, { task }, { state: 'ended', reason, at: clock() }), 'ended', reason);
    },
    async endConnector(connector, reason) {
      const at = clock();
      noteEnded(await repository.end(tenant, { connector }, { state: 'ended', reason, at }), 'ended', reason);
    },
    async sweep() {
      const at = clock();
      const reason = 'nobody decided in time, or nobody used it';
      try {
        noteEnded(await repository.end(tenant, { expiredAt: at }, { state: 'expired', reason, at }), 'expired', reason);
      } catch (error) {
        log.warn({ error: messageOf(error) }, 'approvals whose time is over could not be ended');
      }
    },
    release: waiting.close,
  };
}
