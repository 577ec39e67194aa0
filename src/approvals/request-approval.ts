import type { Approval } from '../domain/approval.ts';
import { messageOf } from '../domain/errors.ts';
import { newApprovalId } from '../domain/ids.ts';
import { userKey } from '../domain/principal.ts';
import { type Desk, identityOfApproval } from './desk-parts.ts';
import { bindCall, type HeldCall } from './held-call.ts';

/** What has been said of a call, or is being asked, already: an approved one before a denied, that before a pending one. */
export async function findApproval(desk: Desk, call: HeldCall): Promise<Approval | undefined> {
  const found = await desk.repository.about(desk.tenant, bindCall(desk.bindingKey, call), desk.clock());
  for (const state of ['approved', 'denied', 'pending'] as const) {
    const first = found.find((approval) => approval.state === state);
    if (first !== undefined) return first;
  }
  return undefined;
}

/**
 * Asks people about a call: on the trail, then in the store, then told. The same call that is asked about already asks nothing new.
 * @returns `too_many` when the task has asked as often as it may
 */
export async function requestApproval(desk: Desk, call: HeldCall): Promise<Approval | 'too_many'> {
  const { tenant, repository, clock } = desk;
  const asked = await repository.list(tenant, { task: call.task.id }, desk.perTask);
  if (asked.length >= desk.perTask) return 'too_many';
  const approval = makeApproval(desk, call);
  const { id, stepUp, policies, reason, policyVersion, expiresAt } = approval;
  const content = await desk.content.seal(id, call.argumentsText);
  await desk.record({
    type: 'approval_requested',
    ...identityOfApproval(approval),
    detail: {
      approval: id,
      method: approval.method,
      policies,
      reason,
      policyVersion,
      ...stepUp,
      expires: new Date(expiresAt).toISOString(),
      purpose: call.task.purpose,
    },
  });
  const opened = await repository.open(approval, content);
  if (opened.id !== id) {
    // Another one like it was first.
    desk.recordLater({
      type: 'approval_ended',
      ...identityOfApproval(approval),
      detail: { approval: id, state: 'ended', reason: `the same call is asked about as ${opened.id}` },
    });
    return opened;
  }
  desk.count('requested');
  for (const notifier of desk.notifiers) {
    notifier
      .notify({ approval: id, url: desk.urlOf(id), expiresAt })
      .catch((error: unknown) =>
        desk.log.warn({ approval: id, error: messageOf(error) }, 'nobody could be told that an approval waits'),
      );
  }
  desk.log.info(
    { approval: id, tool: approval.tool, task: approval.task, at: clock() },
    'a call waits for an approval',
  );
  return opened;
}

function makeApproval({ tenant, random, clock, bindingKey, logPosition }: Desk, call: HeldCall): Approval {
  const { principal, task, span, method, item, decision } = call;
  const now = clock();
  const seconds = Math.min(...decision.stepUp.terms.map(({ expiresSeconds }) => expiresSeconds));
  return {
    id: newApprovalId(random),
    tenant,
    task: task.id,
    trace: task.trace,
    span,
    user: principal.user && userKey(principal.user),
    agent: principal.agent,
    actors: principal.actors,
    workload: principal.workload,
    connector: item.connector,
    tool: item.ref,
    method,
    ...bindCall(bindingKey, call),
    policies: decision.policies,
    reason: decision.reason,
    policyVersion: decision.policyVersion,
    stepUp: decision.stepUp,
    state: 'pending',
    scope: 'call',
    usesLeft: 0,
    logPosition: logPosition(),
    requestedAt: now,
    // Nothing is approved beyond the task.
    expiresAt: Math.min(now + seconds * 1_000, task.expiresAt),
    decidedAt: undefined,
    endedAt: undefined,
    endReason: undefined,
  };
}
