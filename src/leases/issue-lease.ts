import { isRemitError, RemitError } from '../domain/errors.ts';
import { type ConnectorId, newLeaseId, type ToolRef } from '../domain/ids.ts';
import { type Lease, leaseTag } from '../domain/lease.ts';
import type { Secret } from '../domain/secret.ts';
import type { Task } from '../domain/task.ts';
import type { IssuedCredential, IssueRequest } from '../seams/issuer.ts';
import type { CredentialInjection } from '../seams/upstream.ts';
import { type IssuerBinding, leaseEvent, type RevokeContext, timeText } from './lease-context.ts';
import { renderInjection, wipeInjection } from './render-injection.ts';
import type { Revocations } from './revocations.ts';
import type { LeasedItem } from './task-leases.ts';
import { untilAborted } from './wait.ts';

/** One issue under way: what a revocation needs to get hold of it. */
export interface IssueAttempt {
  readonly lease: Lease;
  /** What it is asked for; what it is narrowed to, in a narrower mode than `task`. */
  readonly item: LeasedItem | undefined;
  readonly abort: AbortController;
  /** Reason, once someone has called it off. */
  calledOffFor: string | undefined;
}

/** A credential that may be used: its row is active, and what revoking it needs is stored. */
export interface LiveCredential {
  readonly lease: Lease;
  readonly injection: CredentialInjection;
  /** Kept beside the row, so that a store that cannot serve keeps nothing alive. Wiped when the lease is revoked. */
  readonly handle: Secret | undefined;
}

/** How a lease starts: not there yet, but everything that revoking it needs is known. */
export function draftLease(
  context: RevokeContext,
  task: Task,
  connector: ConnectorId,
  tool: ToolRef | undefined,
  binding: IssuerBinding,
): Lease {
  const { issuer, mode, ttlSeconds, lapsesAt = Number.POSITIVE_INFINITY } = binding;
  const id = newLeaseId(context.random);
  const now = context.clock();
  const expiresAt = Math.min(now + ttlSeconds * 1000, task.expiresAt, lapsesAt);
  return {
    id,
    tenant: task.tenant,
    task: task.id,
    agent: task.agent,
    connector,
    mode,
    tool: mode === 'task' ? undefined : tool,
    issuer: issuer.kind,
    downstream: issuer.downstream,
    tag: leaseTag(id),
    state: 'intended',
    revocation: issuer.revocation,
    scope: '',
    intendedAt: now,
    issueDeadline: now + context.limits.issueMs,
    expiresAt,
    // L3: where the downstream's shortest lifetime is longer than the lease, that one holds, and it is recorded.
    nativeExpiresAt: Math.max(expiresAt, now + issuer.minTtlSeconds * 1000),
    endedAt: undefined,
    endReason: undefined,
    attempts: 0,
    failingSince: undefined,
    lastError: undefined,
    uses: 0,
    claimedBy: context.claimant,
    // Whoever sweeps takes it up when nobody can be issuing it any more.
    claimedUntil: now + context.limits.issueMs + context.limits.skewMs,
    fence: 1,
  };
}

/**
 * intended → active. The intent is durable in the store and in the audit log before the issuer is called (L1); whatever
 * goes wrong after that, the lease is handed over to be revoked before this throws.
 * @throws what refused it; `ERR_CREDENTIAL_ISSUE` past the deadline, `ERR_TASK_REFUSED` when it was called off
 */
export async function issueLease(
  context: RevokeContext,
  revocations: Revocations,
  task: Task,
  binding: IssuerBinding,
  attempt: IssueAttempt,
): Promise<LiveCredential> {
  const { lease, abort } = attempt;
  const request: IssueRequest = {
    lease: lease.id,
    tenant: lease.tenant,
    task: lease.task,
    agent: lease.agent,
    user: task.user,
    connector: lease.connector,
    tool: lease.tool,
    tag: lease.tag,
    ...rightsFor(task, attempt),
    expiresAt: lease.nativeExpiresAt ?? lease.expiresAt,
    signal: abort.signal,
  };
  await recordIntent(context, task, attempt, request);

  const issued = await callIssuer(context, revocations, task, binding, attempt, request);
  let injection: CredentialInjection | undefined;
  try {
    assertBounded(issued, request, context.limits.skewMs);
    injection = renderInjection(binding.templates, issued.fields);
    const { scope, nativeExpiresAt } = issued;
    const claimedUntil = lease.expiresAt + context.limits.skewMs;
    const active: Lease = { ...lease, state: 'active', scope, nativeExpiresAt, claimedUntil };
    await recordActive(context, task, active, issued.handle);
    return { lease: active, injection, handle: issued.handle };
  } catch (error) {
    if (injection !== undefined) wipeInjection(injection);
    void revocations.start(lease, attempt.calledOffFor ?? 'issue_failed', {
      isIssued: true,
      isTaking: true,
      task,
      handle: issued.handle,
    });
    throw error;
  } finally {
    wipeFields(issued);
  }
}

/** All of the task's at the connector, or what the one tool needs of it: nothing where no tool is named, as for a connection that listens. */
function rightsFor(task: Task, { lease, item }: IssueAttempt): Pick<IssueRequest, 'resources' | 'actionClasses'> {
  const { actionClasses } = task.bounds;
  const resources = resourcesFor(task, lease.connector);
  if (lease.mode === 'task') return { resources, actionClasses };
  const classes = actionClasses.filter((one) => one === item?.profile?.actionClass);
  return { resources: classes.length === 0 ? [] : resources, actionClasses: classes };
}

function resourcesFor(task: Task, connector: ConnectorId): string[] {
  const prefix = `${connector}:`;
  return task.bounds.resources.filter((name) => name.startsWith(prefix)).map((name) => name.slice(prefix.length));
}

/** L1. Where either record fails nothing was issued, and the row, if there is one, says so. */
async function recordIntent(
  context: RevokeContext,
  task: Task,
  attempt: IssueAttempt,
  request: IssueRequest,
): Promise<void> {
  const { lease } = attempt;
  const outcomes = await Promise.allSettled([
    context.repository.insert(lease),
    context.audit(
      leaseEvent('credential_intended', lease, task, {
        resources: request.resources,
        actionClasses: request.actionClasses,
        revocation: lease.revocation,
        issueDeadline: timeText(lease.issueDeadline),
        expiresAt: timeText(lease.expiresAt),
      }),
    ),
  ]);
  const failed = outcomes.find((outcome) => outcome.status === 'rejected');
  const isLate = context.clock() >= lease.issueDeadline;
  if (failed === undefined && !isLate && !attempt.abort.signal.aborted) return;
  const change = { state: 'ended', endedAt: context.clock(), endReason: 'not_issued' } as const;
  await context.repository.update(lease, ['intended'], change).catch(() => {});
  throw failed?.reason ?? (attempt.calledOffFor === undefined ? pastDeadline(lease) : calledOff(task));
}

async function callIssuer(
  context: RevokeContext,
  revocations: Revocations,
  task: Task,
  { issuer }: IssuerBinding,
  attempt: IssueAttempt,
  request: IssueRequest,
): Promise<IssuedCredential> {
  const { lease, abort } = attempt;
  const cancelDeadline = context.schedule(Math.max(0, lease.issueDeadline - context.clock()), () => abort.abort());
  const call = Promise.resolve().then(() => issuer.issue(request));
  let isTaken = false;
  const lateness = () => (attempt.calledOffFor === undefined ? pastDeadline(lease) : calledOff(task));
  try {
    const issued = await untilAborted(call, abort.signal, lateness);
    isTaken = true;
    return issued;
  } catch (error) {
    void revocations.start(lease, attempt.calledOffFor ?? 'issue_failed', { isIssued: false, task });
    throw isRemitError(error) ? error : unexpected(lease, error);
  } finally {
    cancelDeadline();
    // An issue that comes back after it was given up has made something: that is certain now, and ends at once.
    if (!isTaken) {
      call.then(
        (late) => {
          wipeFields(late);
          const facts = { isIssued: true, isTaking: true, task, handle: late.handle };
          void revocations.start(lease, attempt.calledOffFor ?? 'issued_late', facts);
        },
        () => {},
      );
    }
  }
}

/** L3, checked here too: an issuer that got it wrong must not leave standing access behind. */
function assertBounded(issued: IssuedCredential, request: IssueRequest, skewMs: number): void {
  if (issued.nativeExpiresAt === undefined || issued.nativeExpiresAt <= request.expiresAt + skewMs) return;
  throw new RemitError('ERR_CREDENTIAL_ISSUE', 'the issuer gave a credential that outlives its lease', {
    where: request.connector,
    hint: 'The issuer does not bound what it issues: have it pass test/suites/issuer-suite.ts.',
  });
}

/** L2: the handle is on the row in the same step as the state in which the credential may be used. */
async function recordActive(
  context: RevokeContext,
  task: Task,
  lease: Lease,
  handle: Secret | undefined,
): Promise<void> {
  const { scope, nativeExpiresAt } = lease;
  const sealed = handle === undefined ? {} : { handle: await context.handles.seal(lease.id, handle) };
  const { claimedUntil } = lease;
  const change = { state: 'active', scope, nativeExpiresAt, claimedUntil, ...sealed } as const;
  const [row, event] = await Promise.allSettled([
    context.repository.update(lease, ['intended'], change),
    context.audit(
      leaseEvent('credential_issued', lease, task, {
        scope,
        revocation: lease.revocation,
        expiresAt: timeText(lease.expiresAt),
        nativeExpiresAt: timeText(nativeExpiresAt) ?? 'never',
      }),
    ),
  ]);
  if (row.status === 'rejected') throw row.reason;
  if (event.status === 'rejected') throw event.reason;
  // Someone else (a reaper, a second gateway on the same store) has ended it meanwhile.
  if (!row.value) throw new RemitError('ERR_CREDENTIAL_ISSUE', 'the lease was ended while it was issued');
}

function wipeFields(issued: IssuedCredential): void {
  for (const secret of Object.values(issued.fields)) secret.wipe();
}

export function pastDeadline(lease: Lease): RemitError {
  return new RemitError('ERR_CREDENTIAL_ISSUE', `no credential for ${lease.connector} within the issue deadline`, {
    where: lease.connector,
    hint: 'See that the downstream answers; the call may be tried again.',
  });
}

export function calledOff(task: Task): RemitError {
  return new RemitError('ERR_TASK_REFUSED', `task ${task.id} has ended`, { where: task.id, hint: 'Start a new task.' });
}

function unexpected(lease: Lease, cause: unknown): RemitError {
  return new RemitError('ERR_CREDENTIAL_ISSUE', `the issuer of ${lease.connector} failed unexpectedly`, {
    where: lease.connector,
    hint: 'This is a fault of the issuer; the call may be tried again.',
    cause,
  });
}
