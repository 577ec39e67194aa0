import type { Approval, Approver } from '../domain/approval.ts';
import type { StepUpTerms } from '../domain/step-up.ts';

/**
 * Who may approve, as the owner of the gateway says. A member is `os:<account>`, `os:*`, `user:<issuer>#<subject>` or `group:<issuer>#<group>`.
 */
export interface ApproverDirectory {
  /** For terms that name no group. */
  readonly approvers: readonly string[];
  readonly groups: ReadonlyMap<string, readonly string[]>;
}

/** Whether a person may say anything of an approval: a denial is open to those too whom the terms bar from approving. */
export function isApproverOf(directory: ApproverDirectory, approver: Approver, { stepUp }: Approval): boolean {
  return stepUp.terms.some((terms) => isAmong(directory, approver, terms));
}

/** Why a person’s word does not count for these terms; undefined when it does. */
export function refuseApprover(
  directory: ApproverDirectory,
  approver: Approver,
  terms: StepUpTerms,
  about: { readonly user: string | undefined; readonly owner: string | undefined },
): string | undefined {
  if (!isAmong(directory, approver, terms)) {
    return terms.groups.length === 0
      ? `${approver.id} is none of \`approvals.approvers\``
      : `${approver.id} is not in ${terms.groups.join(' or ')}`;
  }
  const names = [approver.id, ...approver.names].map(fold);
  if (terms.barred.includes('user') && about.user !== undefined && names.includes(fold(about.user)))
    return `${approver.id} is the user whom the task is for, who may not approve it`;
  if (terms.barred.includes('owner') && (about.owner === undefined || isOwner(names, about.owner)))
    return `${approver.id} is, or may be, the agent’s owner, who may not approve it`;
  return undefined;
}

/** An owner is written as people write names: an account, an address, `issuer#subject`. */
const isOwner = (names: readonly string[], owner: string): boolean =>
  names.includes(fold(owner)) || names.includes(fold(`os:${owner}`));

const fold = (name: string): string => name.toLowerCase();

function isAmong({ approvers, groups }: ApproverDirectory, approver: Approver, terms: StepUpTerms): boolean {
  const members = terms.groups.length === 0 ? approvers : terms.groups.flatMap((name) => groups.get(name) ?? []);
  return members.some((member) => isMember(approver, member));
}

function isMember({ id, groups }: Approver, member: string): boolean {
  if (member === 'os:*') return id.startsWith('os:');
  if (member.startsWith('os:')) return id === member;
  if (member.startsWith('user:')) return !id.startsWith('os:') && id === member.slice('user:'.length);
  return member.startsWith('group:') && groups.includes(member.slice('group:'.length));
}
