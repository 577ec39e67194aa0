import type { Approvals } from '../../approvals/approvals.ts';
import type { Said } from '../../approvals/give-verdict.ts';
import { type ApprovalView, viewApproval } from '../../approvals/view-approval.ts';
import type { Approval, Approver } from '../../domain/approval.ts';
import { RemitError } from '../../domain/errors.ts';
import { type ApprovalId, approvalId, taskId } from '../../domain/ids.ts';
import type { AdminOperation } from '../../http/admin-socket.ts';
import { type Administration, administrator } from '../trail/record-administration.ts';
import type { Workspace } from '../workspace.ts';

const MOST_LISTED = 500;

/** One approval as it is shown to people. @throws `ERR_NOT_FOUND` */
export async function showApproval(workspace: Workspace, approvals: Approvals, id: ApprovalId): Promise<ApprovalView> {
  const { store, estate } = workspace;
  const approval = await store.approvals.get(estate.tenant, id);
  if (approval === undefined)
    throw new RemitError('ERR_NOT_FOUND', `there is no approval ${id}`, {
      where: id,
      hint: '`remit approval ls` lists them.',
    });
  const [verdicts, task, text] = await Promise.all([
    store.approvals.verdicts(estate.tenant, id),
    store.tasks.get(estate.tenant, approval.task),
    approvals.argumentsOf(id),
  ]);
  const connector = estate.connectors.get(approval.connector);
  return viewApproval({
    approval,
    verdicts,
    task,
    arguments: text,
    owner: estate.agents.get(approval.agent)?.owner,
    profile: connector && profileOf(connector, approval),
    connector: connector && {
      ...connector,
      credential: Object.keys(connector.config.credential ?? {}).join() || 'none',
    },
  });
}

function profileOf(
  { profiles, resources, prompts }: NonNullable<ReturnType<Workspace['estate']['connectors']['get']>>,
  { tool, connector }: Approval,
) {
  const name = tool.slice(connector.length + 1);
  if (name.startsWith('resource:')) return resources.get(name.slice('resource:'.length));
  return name.startsWith('prompt:') ? prompts.get(name.slice('prompt:'.length)) : profiles.get(name);
}

/** Approvals over the administration socket: who may open it speaks as the account that runs the gateway. */
export function approvalOperations(
  workspace: Workspace,
  approvals: Approvals & { newLink(): Promise<string> },
  /** Puts a change on the trail. */
  administer: (change: Administration) => Promise<unknown>,
): Readonly<Record<string, AdminOperation>> {
  const { store, estate, config } = workspace;

  function assertTaken(): void {
    if (!config.approvals.commandLine)
      throw new RemitError('ERR_APPROVAL_REFUSED', 'verdicts are taken on the page alone', {
        where: 'approvals.commandLine',
        hint: 'The terminal that runs `remit up` shows links that sign in; or configure approvals.signIn.',
      });
  }

  async function give(id: string, said: Said): Promise<unknown> {
    assertTaken();
    await approvals.give(approvalId(id), operator(), said);
    return showApproval(workspace, approvals, approvalId(id));
  }

  return {
    async approvals({ all, task }) {
      const found = await store.approvals.list(
        estate.tenant,
        {
          ...(all !== 'true' && { states: ['pending', 'approved'] }),
          ...(task !== undefined && { task: taskId(task) }),
        },
        MOST_LISTED,
      );
      return {
        approvals: found.map(({ id, state, tool, agent, user, task: of, reason, requestedAt, expiresAt }) => ({
          id,
          state,
          tool,
          agent,
          user,
          task: of,
          reason,
          requestedAt: new Date(requestedAt).toISOString(),
          expiresAt: new Date(expiresAt).toISOString(),
        })),
      };
    },
    approval: ({ id = '' }) => showApproval(workspace, approvals, approvalId(id)),
    approve({ id = '', uses = '0', reason = '' }) {
      return give(id, { verdict: 'approve', uses: Number(uses), reason });
    },
    async 'approval-link'() {
      assertTaken();
      await administer({ action: 'approver_link' });
      return { url: await approvals.newLink() };
    },
    deny: ({ id = '', reason = '' }) => give(id, { verdict: 'deny', reason }),
  };
}

/** Whoever runs the gateway's account: that is who may open its socket. */
export function operator(via: Approver['via'] = 'command line'): Approver {
  return { id: `os:${administrator()}`, groups: [], names: [administrator()], via };
}
