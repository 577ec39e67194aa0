import type { Approval, Approver, Verdict } from '../domain/approval.ts';
import { RemitError } from '../domain/errors.ts';
import type { ApprovalId } from '../domain/ids.ts';
import { conclude } from './conclude.ts';
import { type Desk, identityOfApproval } from './desk-parts.ts';
import { isApproverOf, refuseApprover } from './may-approve.ts';

/** What a person says. `uses` above 0: of the item, with any arguments, so often within the task. */
export type Said =
  | { readonly verdict: 'approve'; readonly uses: number; readonly reason: string }
  | { readonly verdict: 'deny'; readonly reason: string };

/**
 * Takes a person's word: on the trail, then true. The caller has proven who the person is, by something that no agent has (guarantee A6).
 * @returns the approval as it stands then; still pending where more people are needed
 * @throws `ERR_NOT_FOUND`, `ERR_APPROVAL_REFUSED`
 */
export async function giveVerdict(desk: Desk, id: ApprovalId, approver: Approver, said: Said): Promise<Approval> {
  const { tenant, repository, clock } = desk;
  const approval = await repository.get(tenant, id);
  if (approval === undefined)
    throw new RemitError('ERR_NOT_FOUND', `there is no approval ${id}`, {
      where: id,
      hint: '`remit approval ls` lists them.',
    });
  assertPending(desk, approval);
  const earlier = await repository.verdicts(tenant, id);
  if (earlier.some((one) => one.approver === approver.id))
    throw refused(id, `${approver.id} has given a verdict already`, 'Another person must give the next one.');
  const terms = termsFor(desk, approval, approver, said);
  const uses = said.verdict === 'approve' ? usesOf(approval, said.uses) : 0;
  const verdict: Verdict = {
    approval: id,
    approver: approver.id,
    via: approver.via,
    verdict: said.verdict,
    uses,
    reason: said.reason.slice(0, 500),
    terms,
    at: clock(),
  };
  await desk.record({
    type: 'approval_verdict',
    ...identityOfApproval(approval),
    detail: {
      approval: id,
      verdict: verdict.verdict,
      by: approver.id,
      via: approver.via,
      reason: verdict.reason,
      terms,
      ...(uses > 0 && { uses }),
    },
  });
  const after = await repository.decide(tenant, verdict, conclude);
  if (after === undefined) {
    const now = await repository.get(tenant, id);
    throw refused(id, `it changed meanwhile: it is ${now?.state ?? 'gone'}`, 'Nothing follows from this verdict.');
  }
  if (after.state === 'approved' || after.state === 'denied')
    desk.count(after.state, (verdict.at - approval.requestedAt) / 1_000);
  desk.waiting.settle(after);
  return after;
}

function assertPending({ clock }: Desk, { id, state, expiresAt }: Approval): void {
  if (state !== 'pending') throw refused(id, `it is ${state}`, 'Only a pending approval takes a verdict.');
  if (clock() >= expiresAt) throw refused(id, 'its time is over', 'The same call, made again, asks anew.');
}

/** The terms that this person's word counts for. @throws when there are none */
function termsFor({ directory, ownerOf }: Desk, approval: Approval, approver: Approver, { verdict }: Said): string[] {
  const { terms } = approval.stepUp;
  if (verdict === 'deny') {
    if (isApproverOf(directory, approver, approval)) return terms.map(({ by }) => by);
    throw refused(approval.id, `${approver.id} is no approver of it`, 'Ask one of those whom its terms name.');
  }
  const about = { user: approval.user, owner: ownerOf(approval.agent) };
  const counted = terms.filter((one) => refuseApprover(directory, approver, one, about) === undefined);
  if (counted.length > 0) return counted.map(({ by }) => by);
  const reasons = new Set(terms.map((one) => refuseApprover(directory, approver, one, about)));
  throw refused(approval.id, [...reasons].join('; '), 'Ask one of those whom its terms name.');
}

function usesOf({ id, stepUp }: Approval, uses: number): number {
  if (uses === 0) return 0;
  const most = Math.min(...stepUp.terms.map(({ limit }) => limit));
  if (Number.isSafeInteger(uses) && uses >= 1 && uses <= most && most > 1) return uses;
  const hint =
    most > 1 ? `Give --limit ${most} or less.` : 'Approve the one call, or ask the owner of the policy for a limit.';
  throw refused(
    id,
    most > 1 ? `its terms allow ${most} uses for a task` : 'its terms allow no approval for a task',
    hint,
  );
}

function refused(id: ApprovalId, message: string, hint: string): RemitError {
  return new RemitError('ERR_APPROVAL_REFUSED', message, { where: id, hint });
}
