import type { DeskParts } from '../../approvals/desk-parts.ts';
import type { ApprovalId } from '../../domain/ids.ts';
import type { Vault } from '../../secrets/vault.ts';

/** Name under which the vault seals the arguments of a call that waits. */
export const approvalRecord = (id: ApprovalId): string => `approval:${id}`;

export function createApprovalContent(vault: Pick<Vault, 'seal' | 'open'>): DeskParts['content'] {
  return {
    seal: (id, text) => vault.seal(approvalRecord(id), Buffer.from(text, 'utf8')),
    async open(id, sealed) {
      return (await vault.open(approvalRecord(id), sealed)).toString('utf8');
    },
  };
}
