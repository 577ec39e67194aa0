import type { Decision } from '../domain/decision.ts';
import { isRefused, type Refused, refuse } from '../domain/refusal.ts';
import type { HeldLease } from '../leases/held-lease.ts';
import type { ErrorReply, LargeResult, SmallResult } from '../seams/upstream.ts';
import type { MethodAnswer } from './client-request.ts';
import type { Gateway } from './gateway.ts';
import type { Operation } from './operation.ts';
import type { Caller } from './stages/authenticate.ts';
import { decide } from './stages/decide.ts';
import { noteDeviation } from './stages/deviation.ts';
import { forward } from './stages/forward.ts';
import { hideFrom, mustBeWhole, readWhole, takeHandles } from './stages/handles.ts';
import { hold } from './stages/hold.ts';
import { lease } from './stages/lease.ts';
import { ChunkObserver, type Outcome, observe } from './stages/observe.ts';
import { identityOf, recordDenial, recordIntent } from './stages/record-intent.ts';
import { type Redacted, redactResult, refuseLarge } from './stages/redact-result.ts';
import { noteDenied, noteOutcome } from './stages/risk.ts';
import { tellDenial, tellOutcome } from './stages/tell.ts';
import { ChunkGuard, type Needle, needlesOf, withhold } from './stages/withhold-secrets.ts';

/**
 * One governed operation, top to bottom, whatever its method. The caller is authenticated (the edge does it for every message) and the item is
 * resolved (the method does it):
 *
 *   authenticate → resolve → decide → record intent, (keep memory) → (hold) → lease → forward → withhold secrets → (redact) → (hide) → observe → record outcome
 *
 * Each stage takes values and returns a value or a refusal. A fault in any of them propagates and is answered as a refusal by
 * the edge: nothing is forwarded past a stage that did not return.
 */
export async function governCall(gateway: Gateway, caller: Caller, asked: Operation): Promise<MethodAnswer> {
  let operation = takeHandles(gateway, caller, asked);
  const { agent } = caller.principal;
  if (!gateway.enter(agent)) return refuseBusy(gateway, caller, operation);
  let isStreaming = false;
  let held: HeldLease | undefined;
  try {
    // In one step with the decision: of what is held here, nobody takes the last in between.
    let more = gateway.legacy?.replenish(operation.item.connector);
    while (more !== undefined) {
      await more;
      more = gateway.legacy?.replenish(operation.item.connector);
    }
    const deciding = decide(gateway, caller, operation);
    const decision = deciding instanceof Promise ? await deciding : deciding;
    const recording = recordIntent(gateway, caller, operation, decision);
    const isPermitted = decision.verdict === 'permit';
    // Beside the journal's write: the decision has charged and joined already, and whichever is durable first, the call waits for both.
    let keeping = isPermitted ? gateway.memory?.keep(caller.task.id) : undefined;
    await recording;
    if (!isPermitted) {
      if (decision.gate === 'task' || decision.gate === 'flow')
        await noteDeviation(gateway, caller, operation, decision);
      if (decision.verdict !== 'step_up') {
        const told = noteDenied(gateway, caller, decision, operation.item);
        if (told !== undefined) await told;
        return refuseCall(gateway, caller, operation, decision);
      }
      const lifted = await hold(gateway, caller, operation, decision);
      if (isRefused(lifted)) return refuseCall(gateway, caller, operation, decision, lifted);
      ({ operation, keeping } = lifted);
    }

    // What was kept says whose the task was then. Either write may have taken long since, or the process may have stood still.
    const moved = (keeping === undefined ? undefined : await keeping) ?? gateway.memory?.confirm();
    const startedAt = gateway.clock();
    const leasing = moved ?? (operation.reply === undefined ? lease(gateway, caller, operation) : NO_LEASE);
    const leased = leasing instanceof Promise ? await leasing : leasing;
    if (!isRefused(leased)) held = leased.held;
    const used = held;
    const needles = needlesOf(held);
    const sent = isRefused(leased) ? leased : await forward(gateway, caller, operation, held, needles);
    const came = 'resultChunks' in sent && mustBeWhole(operation) ? await readWhole(gateway, operation, sent) : sent;
    if ('resultChunks' in came && operation.item.profile?.result === undefined) {
      isStreaming = true;
      if (operation.item.profile?.flow !== undefined) gateway.flow.note(caller.task, operation.item, undefined);
      return pass(gateway, caller, operation, used, needles, came, startedAt);
    }
    const whole = 'resultChunks' in came ? await refuseLarge(came) : came;
    const { reply, taken } = cleanse(gateway, caller, operation, whole, needles);
    const outcome = observe(reply, gateway.clock() - startedAt, operation.request.cancellation.isCancelled);
    return {
      reply,
      recordOutcome: () =>
        record(gateway, caller, operation, used, taken === undefined ? outcome : { ...outcome, ...taken }),
    };
  } finally {
    if (!isStreaming) {
      gateway.leave(agent);
      held?.endCall?.();
    }
  }
}

function refuseCall(
  gateway: Gateway,
  caller: Caller,
  operation: Operation,
  decision: Decision,
  reply: Refused = { refusal: { kind: 'denied', decision } },
): MethodAnswer {
  tellDenial(gateway, caller, operation.request, operation, decision);
  return { reply };
}

const NO_LEASE = { held: undefined };

/** What of a reply the agent gets to see, and what was taken out of it, for the record; undefined: nothing. */
function cleanse(
  gateway: Gateway,
  caller: Caller,
  operation: Operation,
  came: SmallResult | ErrorReply | Refused,
  needles: readonly Needle[],
): { readonly reply: SmallResult | ErrorReply | Refused; readonly taken: Partial<Outcome> | undefined } {
  const { profile } = operation.item;
  let { reply, withheld } = withhold(came, needles);
  let redacted: Redacted | undefined;
  if (profile?.result !== undefined) ({ reply, redacted } = redactResult(reply, profile.result));
  if (profile?.flow !== undefined) learn(gateway, caller, operation, reply);
  if (mustBeWhole(operation)) reply = hideFrom(gateway, caller, operation, reply);
  if (withheld === 0 && redacted === undefined) return { reply, taken: undefined };
  return { reply, taken: { ...(withheld > 0 && { credentialsWithheld: withheld }), ...(redacted && { redacted }) } };
}

/** What came back is kept for where later values come from. Of a result too large to hold nothing is: it vouches for nothing. */
function learn(gateway: Gateway, { task }: Caller, operation: Operation, reply: MethodAnswer['reply']): void {
  if ('result' in reply) gateway.flow.learn(task, operation.item, operation.args, operation.span, reply.result);
  else if ('error' in reply) gateway.flow.note(task, operation.item, { error: reply.error });
}

/** A large result goes through piece by piece; what came of it is known, and recorded, when it has passed or broken off. */
function pass(
  gateway: Gateway,
  caller: Caller,
  operation: Operation,
  held: HeldLease | undefined,
  needles: readonly Needle[],
  { resultChunks, release }: LargeResult,
  startedAt: number,
): MethodAnswer {
  const observer = new ChunkObserver();
  const guard = new ChunkGuard(needles);
  let isOver = false;
  const finish = (): void => {
    if (isOver) return;
    isOver = true;
    gateway.leave(caller.principal.agent);
    held?.endCall?.();
    record(gateway, caller, operation, held, observer.outcome(gateway.clock() - startedAt));
  };
  async function* guarded(): AsyncGenerator<Buffer> {
    try {
      for await (const chunk of resultChunks) {
        guard.check(chunk);
        observer.see(chunk);
        yield chunk;
      }
      observer.end();
    } catch (error) {
      observer.fail('broken off');
      throw error;
    } finally {
      finish();
    }
  }
  return { reply: { resultChunks: guarded(), release }, recordOutcome: finish };
}

function record(
  gateway: Gateway,
  caller: Caller,
  operation: Operation,
  held: HeldLease | undefined,
  detail: Outcome,
): void {
  const { span, item } = operation;
  tellOutcome(gateway, caller, operation, held, detail);
  noteOutcome(gateway, caller, operation, detail);
  if (gateway.limits !== undefined && typeof detail.resultBytes === 'number') {
    gateway.limits.read(caller.task, detail.resultBytes);
  }
  gateway.recordLater({
    type: 'outcome',
    ...identityOf(caller),
    span,
    connector: item.connector,
    tool: item.ref,
    ...(held && { lease: held.lease.id }),
    detail,
  });
}

/** Fault 20: who has too much under way is told so, and not that something is wrong with the tool. */
async function refuseBusy(gateway: Gateway, caller: Caller, { span, method, item }: Operation): Promise<MethodAnswer> {
  const reason = `${caller.principal.agent} has as many calls under way as it may have`;
  await recordDenial(gateway, caller, { span, method, rule: 'remit:busy', gate: 'budget', reason, item });
  return {
    reply: refuse({
      kind: 'unavailable',
      code: 'ERR_BUSY',
      reason,
      nextStep: 'Nothing was sent. Wait until one has come back, then call again.',
      isForwarded: false,
    }),
  };
}
