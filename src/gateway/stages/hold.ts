import type { HeldCall } from '../../approvals/held-call.ts';
import type { Waited } from '../../approvals/waiting.ts';
import type { Approval } from '../../domain/approval.ts';
import type { Decision } from '../../domain/decision.ts';
import { canonicalJson } from '../../domain/json.ts';
import { type Refused, refuse } from '../../domain/refusal.ts';
import type { Gateway } from '../gateway.ts';
import type { Operation } from '../operation.ts';
import { type Caller, refuseTaskOf } from './authenticate.ts';
import { type Carried, carryWait } from './carry-wait.ts';
import { decide, settle } from './decide.ts';
import { recordIntent } from './record-intent.ts';
import { resolveRef } from './resolve.ts';

/** A call whose hold was lifted: what is forwarded, under the decision that permits it. */
export interface Lifted {
  readonly operation: Operation;
  /** What it leaves behind, while that is being kept. */
  readonly keeping: Promise<Refused | undefined> | undefined;
}

/**
 * What becomes of a call that a decision holds, which is on record. An approved one is used up, decided on anew, and recorded as permitted
 * before this returns (guarantee D5); any other is asked about, waited for where the client can, and answered. No credential is held meanwhile.
 */
export async function hold(
  gateway: Gateway,
  caller: Caller,
  operation: Operation,
  decision: Decision,
): Promise<Lifted | Refused> {
  const { approvals } = gateway;
  const { stepUp } = decision;
  if (stepUp === undefined || stepUp.terms.length === 0) return denied(decision, 'The hold has no terms.', ASK_OWNER);
  if (goesOn(operation)) return lift(gateway, caller, operation, decision, undefined);
  const { principal, task } = caller;
  const { span, method, item, args, argumentsText } = operation;
  const call: HeldCall = {
    principal,
    task,
    span,
    method,
    item,
    args,
    argumentsText,
    decision: { ...decision, stepUp },
  };

  let approval = await approvals.find(call);
  if (approval === undefined) {
    const asked = await approvals.request(call);
    if (asked === 'too_many') {
      const reason = `${decision.reason} The task has asked for as many approvals as it may.`;
      return denied(decision, reason, 'Stop, and tell your user.');
    }
    approval = asked;
  }
  if (approval.state === 'pending') {
    // A request proves itself for as long as its token does; after that the client comes again.
    const until = Math.min(approval.expiresAt, principal.tokenExpiresAt);
    const waited = await carryWait(gateway, operation, approval, until);
    if (typeof waited === 'string' || waited.state !== 'approved')
      return answerWaiting(gateway, caller, decision, approval, waited);
    approval = waited;
  }
  if (approval.state !== 'approved') return answerWaiting(gateway, caller, decision, approval, approval);
  if (!(await approvals.use(approval, call))) {
    const reason = 'Its approval is used up or was taken back.';
    return denied(decision, reason, 'Make the same call again, unchanged, to ask for another one.', approval);
  }
  return lift(gateway, caller, operation, decision, approval);
}

/** What goes on with a call that was lifted: the handle of an McpTask is sealed to the caller and the task that made it. */
const goesOn = ({ effect, method }: Operation): boolean => effect === 'follow' || method.startsWith('tasks/');

/** Decides anew, on what is true by now: only the very hold that people agreed to lift is lifted. */
async function lift(
  gateway: Gateway,
  caller: Caller,
  operation: Operation,
  held: Decision,
  approval: Approval | undefined,
): Promise<Lifted | Refused> {
  const task = gateway.tasks.get(caller.task.id);
  if (task === undefined || !gateway.isRegistered(task.agent)) return refuseTaskOf(gateway, caller.task.id);
  const now: Caller = { principal: caller.principal, task };
  // The item as it is now: it may have been quarantined or suspended while people thought.
  const item = resolveRef(gateway, operation.item.ref);
  const current = item === undefined ? operation : { ...operation, item };
  let more = gateway.legacy?.replenish(current.item.connector);
  while (more !== undefined) {
    await more;
    more = gateway.legacy?.replenish(current.item.connector);
  }
  const deciding: Decision | Promise<Decision> =
    item === undefined
      ? { ...held, verdict: 'deny', reason: `There is no ${operation.item.ref} any more.` }
      : decide(gateway, now, current);
  // In one step with what settles it, where the engine is synchronous: no parallel call comes in between.
  const decided = deciding instanceof Promise ? await deciding : deciding;
  const isChanged =
    item?.definition.fingerprint !== operation.item.definition.fingerprint ||
    (decided.verdict === 'step_up' && !isSameHold(held, decided));
  let lifted = decided;
  if (isChanged && decided.verdict !== 'deny') {
    lifted = { ...decided, verdict: 'deny', reason: `${decided.reason} What was approved has changed since.` };
  } else if (decided.verdict === 'step_up') {
    const why = approval === undefined ? 'It goes on with a call that was lifted.' : 'Approved.';
    lifted = await settle(gateway, now, current, {
      ...decided,
      verdict: 'permit',
      reason: `${why} ${decided.reason}`,
      ...(approval !== undefined && { approval: approval.id }),
    });
  }
  const recording = recordIntent(gateway, now, current, lifted);
  // In one step with what was charged: the task may go and come back while the record is written.
  const keeping = lifted.verdict === 'permit' ? gateway.memory?.keep(task.id) : undefined;
  await recording;
  if (lifted.verdict !== 'permit') return denied(lifted, lifted.reason, lifted.nextStep, approval);
  return { operation: { ...current, lifted: held }, keeping };
}

/** Whether two decisions hold a call for the same reasons, under the same policies. */
export function isSameHold(held: Decision, again: Decision): boolean {
  return (
    again.verdict === 'step_up' &&
    again.policyVersion === held.policyVersion &&
    canonicalJson(again.stepUp) === canonicalJson(held.stepUp)
  );
}

/** Whether all that policy holds a call for now was lifted already: for what goes on within that call. */
export function isWithinHold(lifted: Decision, again: Decision): boolean {
  const agreed = new Set(lifted.stepUp?.terms.map(canonicalJson));
  return (
    again.verdict === 'step_up' &&
    again.policyVersion === lifted.policyVersion &&
    again.stepUp?.terms.every((terms) => agreed.has(canonicalJson(terms))) === true
  );
}

const ASK_OWNER = 'Ask the owner of the policies.';

function denied(decision: Decision, reason: string, nextStep: string, approval?: Pick<Approval, 'id'>): Refused {
  const verdict = 'deny';
  return refuse({
    kind: 'denied',
    decision: { ...decision, verdict, reason, nextStep, ...(approval !== undefined && { approval: approval.id }) },
  });
}

/** What the client is told of a call that was not made. */
function answerWaiting(
  gateway: Gateway,
  { task }: Caller,
  decision: Decision,
  approval: Approval,
  waited: Waited | Carried,
): Refused {
  if (gateway.tasks.get(task.id) === undefined) return refuseTaskOf(gateway, task.id);
  if (waited === 'gone') {
    return refuse({
      kind: 'unavailable',
      code: 'ERR_APPROVAL_REFUSED',
      reason: 'the call was cancelled before it was approved',
      nextStep: 'Nothing was sent.',
      isForwarded: false,
    });
  }
  const state = typeof waited === 'string' ? waited : waited.state;
  const { id, expiresAt } = approval;
  switch (state) {
    case 'denied': {
      const said = (typeof waited === 'string' ? undefined : waited.endReason) || 'no reason was given';
      return denied(
        decision,
        `${decision.reason} A person has denied this call: ${said}.`,
        'Do not make this call again.',
        approval,
      );
    }
    case 'expired':
    case 'ended':
    case 'used':
    case 'barred':
      return denied(
        decision,
        `${decision.reason} Its approval is ${state}.`,
        'Make the same call again to ask anew.',
        approval,
      );
    default: {
      const until = new Date(Math.max(expiresAt, 0)).toISOString();
      const nextStep =
        `A person must approve it at ${gateway.approvals.urlOf(id)} (approval ${id}, until ${until}). Tell your user, then make the same call again, unchanged: ` +
        'once it is approved, it passes once. Do not look for another way.';
      return refuse({ kind: 'denied', decision: { ...decision, nextStep, approval: id } });
    }
  }
}
