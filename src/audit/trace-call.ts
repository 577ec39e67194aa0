import type { Decision } from '../domain/decision.ts';
import type { FlowLabels, ValueProvenance } from '../domain/flow.ts';
import type { AuditRecord } from '../domain/record.ts';
import type { CallRisk } from '../domain/risk.ts';
import type { Task } from '../domain/task.ts';
import { createDecisionFold, type RecordedDecision } from './recorded-decisions.ts';

/** One decision on a call: a held one has another when people have let it through. */
export interface TracedDecision extends Pick<Decision, 'verdict' | 'gate' | 'policies' | 'reason' | 'policyVersion'> {
  readonly seq: number;
  readonly time: string;
  readonly nextStep?: string;
  readonly approval?: string;
}

/** What people were asked, and said. */
export interface TracedApproval {
  readonly id: string;
  readonly askedAt: string;
  readonly expires?: string;
  readonly verdicts: readonly {
    readonly time: string;
    readonly verdict: string;
    readonly by: string;
    readonly reason?: string;
  }[];
  /** `used`, or how it ended; undefined while it waits or may still be used. */
  readonly end?: string;
}

export interface TracedCredential {
  readonly lease: string;
  readonly issuer: string;
  readonly scope?: string;
  readonly expiresAt?: string;
  /** How the right to it ended: `revoked`, `lapsing`, … */
  readonly end?: string;
}

/** All that the trail knows of one call. No value of an argument is in it. */
export interface CallTrace {
  readonly span: string;
  readonly record: AuditRecord;
  readonly task: Task | undefined;
  readonly decisions: readonly TracedDecision[];
  readonly callsLeft: number;
  readonly before: FlowLabels;
  readonly after: FlowLabels;
  readonly provenance: readonly ValueProvenance[] | undefined;
  readonly risk: CallRisk | undefined;
  readonly prompt: string | undefined;
  readonly approvals: readonly TracedApproval[];
  readonly credential: TracedCredential | undefined;
  readonly outcome: Readonly<Record<string, unknown>> | undefined;
  readonly deviation: Readonly<Record<string, unknown>> | undefined;
  /** How its task ended, if it has. */
  readonly taskEnd: string | undefined;
  /** Records with sealed content, for who may open it. */
  readonly sealed: readonly AuditRecord[];
}

/**
 * Follows one call through the trail: one reading, from the start of its task on.
 * @returns undefined when no decision has that span
 */
export async function traceCall(records: AsyncIterable<AuditRecord>, span: string): Promise<CallTrace | undefined> {
  const fold = createDecisionFold();
  const decided: RecordedDecision[] = [];
  const approvals = new Map<string, TracedApproval>();
  const asked = new Set<string>();
  const leases = new Map<string, TracedCredential>();
  const sealed: AuditRecord[] = [];
  let used: string | undefined;
  let outcome: CallTrace['outcome'];
  let deviation: CallTrace['deviation'];
  let taskEnd: string | undefined;

  for await (const record of records) {
    const decision = fold(record);
    const isIts = record.span === span;
    if (decision !== undefined && isIts) decided.push(decision);
    if (isIts && record.sealed !== undefined) sealed.push(record);
    const { type, detail, lease, task } = record;
    const approval = type.startsWith('approval_') ? String(detail.approval) : undefined;
    if (approval !== undefined) {
      noteApproval(approvals, approval, record);
      if (isIts) asked.add(approval);
    }
    if (isIts && detail.approval !== undefined) asked.add(String(detail.approval));
    if (lease !== undefined && record.span === undefined) noteLease(leases, lease, record);
    if (isIts && lease !== undefined) used = lease;
    if (isIts && type === 'outcome') outcome = detail;
    const first = decided[0]?.record;
    if (first === undefined || task === undefined || task !== first.task) continue;
    if (type === 'task_ended') taskEnd = String(detail.reason);
    // Written right behind the decision that it is about.
    if (type === 'deviation' && deviation === undefined && record.seq - first.seq < 50 && isAbout(detail, first))
      deviation = detail;
  }

  const last = decided.at(-1);
  const first = decided[0];
  if (first === undefined || last === undefined) return undefined;
  const flow = last.record.detail.flow as { provenance?: readonly ValueProvenance[] } | undefined;
  return {
    span,
    record: first.record,
    task: first.task,
    decisions: decided.map(({ record }) => tracedDecision(record)),
    callsLeft: first.callsLeft,
    before: first.before,
    after: last.after,
    provenance: Array.isArray(flow?.provenance) ? flow.provenance : undefined,
    risk: last.record.detail.risk as CallRisk | undefined,
    prompt: typeof first.record.detail.prompt === 'string' ? first.record.detail.prompt : undefined,
    approvals: [...approvals.values()].filter(({ id }) => asked.has(id)),
    credential: used === undefined ? undefined : leases.get(used),
    outcome,
    deviation,
    taskEnd,
    sealed,
  };
}

const isAbout = ({ what }: AuditRecord['detail'], { tool }: AuditRecord): boolean =>
  typeof what === 'string' && tool !== undefined && what.endsWith(` ${tool}`);

function tracedDecision({ seq, time, detail }: AuditRecord): TracedDecision {
  const {
    verdict = 'deny',
    gate = 'fault',
    policies = [],
    reason = '',
    policyVersion = '',
  } = detail as Partial<Decision>;
  const { nextStep, approval } = detail as Partial<Decision>;
  return {
    seq,
    time,
    verdict,
    gate,
    policies,
    reason,
    policyVersion,
    ...(nextStep !== undefined && { nextStep }),
    ...(approval !== undefined && { approval }),
  };
}

function noteApproval(approvals: Map<string, TracedApproval>, id: string, { type, time, detail }: AuditRecord): void {
  const known = approvals.get(id) ?? { id, askedAt: time, verdicts: [] };
  switch (type) {
    case 'approval_requested':
      approvals.set(id, {
        ...known,
        askedAt: time,
        ...(typeof detail.expires === 'string' && { expires: detail.expires }),
      });
      return;
    case 'approval_verdict': {
      const reason = typeof detail.reason === 'string' && detail.reason !== '' ? { reason: detail.reason } : {};
      const verdict = { time, verdict: String(detail.verdict), by: String(detail.by), ...reason };
      approvals.set(id, { ...known, verdicts: [...known.verdicts, verdict] });
      return;
    }
    case 'approval_used':
      approvals.set(id, { ...known, end: 'used' });
      return;
    default:
      approvals.set(id, { ...known, end: String(detail.state) });
  }
}

function noteLease(leases: Map<string, TracedCredential>, lease: string, { type, detail }: AuditRecord): void {
  const known = leases.get(lease) ?? { lease, issuer: String(detail.issuer) };
  const text = (name: string): Record<string, string> => {
    const value = detail[name];
    return typeof value === 'string' ? { [name]: value } : {};
  };
  if (type === 'credential_issued') leases.set(lease, { ...known, ...text('scope'), ...text('expiresAt') });
  else if (type === 'revocation') leases.set(lease, { ...known, end: String(detail.outcome) });
  else leases.set(lease, known);
}
