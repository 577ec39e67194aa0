import type { Approval, Verdict } from '../domain/approval.ts';
import type { Provenance } from '../domain/step-up.ts';
import type { Task } from '../domain/task.ts';
import type { ToolProfile } from '../domain/tool.ts';
import { agreed } from './conclude.ts';

/** What an approver is shown. Texts of others stand in it as they are: whoever draws it makes them inert. Times are RFC 3339. */
export interface ApprovalView {
  readonly id: string;
  readonly state: string;
  readonly agent: string;
  readonly agentOwner: string;
  readonly user: string | undefined;
  readonly actors: readonly string[];
  readonly workload: string;
  readonly task: string;
  readonly purpose: string | undefined;
  readonly template: string | undefined;
  readonly tool: string;
  readonly method: string;
  /** JSON text, exactly what would be sent; undefined once it is over. */
  readonly arguments: string | undefined;
  /** Which policies hold it, and why. */
  readonly policies: readonly string[];
  readonly reason: string;
  readonly needs: readonly {
    readonly by: string;
    readonly approvers: readonly string[];
    readonly count: number;
    readonly have: number;
    readonly barred: readonly string[];
  }[];
  /** Most uses that one verdict may allow for the task; 1: this call only. */
  readonly limit: number;
  readonly labels: readonly string[];
  readonly provenance: readonly Provenance[];
  /** How far the call reaches. */
  readonly reach: Reach;
  readonly verdicts: readonly {
    readonly approver: string;
    readonly via: string;
    readonly verdict: string;
    readonly uses: number;
    readonly reason: string;
    readonly at: string;
  }[];
  readonly scope: string;
  readonly usesLeft: number;
  readonly requestedAt: string;
  readonly expiresAt: string;
  readonly endReason: string | undefined;
}

/** The blast radius: what the call can do, where, and under whose name. */
export interface Reach {
  readonly actionClass: string;
  readonly isReversible: boolean;
  readonly dataClasses: readonly string[];
  readonly connectorOwner: string;
  readonly environment: string;
  readonly zone: string;
  /** Kind of the credential that it would use. */
  readonly credential: string;
  /** Of the task, at this connector. */
  readonly resources: readonly string[];
}

export function viewApproval(parts: {
  readonly approval: Approval;
  readonly verdicts: readonly Verdict[];
  readonly task: Task | undefined;
  readonly arguments: string | undefined;
  readonly owner: string | undefined;
  readonly profile: ToolProfile | undefined;
  readonly connector:
    | { readonly owner: string; readonly environment: string; readonly zone: string; readonly credential: string }
    | undefined;
}): ApprovalView {
  const { approval, verdicts, task, owner, profile, connector } = parts;
  const { stepUp } = approval;
  return {
    id: approval.id,
    state: approval.state,
    agent: approval.agent,
    agentOwner: owner ?? 'unknown',
    user: approval.user,
    actors: approval.actors,
    workload: approval.workload,
    task: approval.task,
    purpose: task?.purpose,
    template: task?.template,
    tool: approval.tool,
    method: approval.method,
    arguments: parts.arguments,
    policies: approval.policies,
    reason: approval.reason,
    needs: stepUp.terms.map(({ by, groups, count, barred }) => ({
      by,
      approvers: groups,
      count,
      have: agreed(verdicts, by),
      barred,
    })),
    limit: Math.min(...stepUp.terms.map(({ limit }) => limit)),
    labels: stepUp.labels,
    provenance: stepUp.provenance,
    reach: {
      actionClass: profile?.actionClass ?? 'unknown',
      isReversible: profile?.reversible === true,
      dataClasses: profile?.dataClasses ?? [],
      connectorOwner: connector?.owner ?? 'unknown',
      environment: connector?.environment ?? 'unknown',
      zone: connector?.zone ?? 'unknown',
      credential: connector?.credential ?? 'none',
      resources: (task?.bounds.resources ?? []).filter((name) => name.startsWith(`${approval.connector}:`)),
    },
    verdicts: verdicts.map(({ approver, via, verdict, uses, reason, at }) => ({
      approver,
      via,
      verdict,
      uses,
      reason,
      at: timeText(at),
    })),
    scope: approval.scope,
    usesLeft: approval.usesLeft,
    requestedAt: timeText(approval.requestedAt),
    expiresAt: timeText(approval.expiresAt),
    endReason: approval.endReason,
  };
}

const timeText = (ms: number): string => new Date(ms).toISOString();
