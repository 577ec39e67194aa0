import { isRefused, type Refused } from '../domain/refusal.ts';
import type { UpstreamReply } from '../seams/upstream.ts';
import type { Gateway } from './gateway.ts';
import type { Caller } from './stages/authenticate.ts';
import { decide } from './stages/decide.ts';
import { forward } from './stages/forward.ts';
import { lease } from './stages/lease.ts';
import { observe } from './stages/observe.ts';
import { identityOf, recordIntent, recordUnknownTool } from './stages/record-intent.ts';
import { resolve, type ToolCall } from './stages/resolve.ts';
import { withholdSecrets } from './stages/withhold-secrets.ts';

/** A call's reply, and the outcome still to be recorded once the reply is on its way. */
export interface Governed {
  readonly reply: UpstreamReply | Refused;
  readonly recordOutcome: () => void;
}

const NOTHING_TO_RECORD = (): void => {};

/**
 * One governed call, top to bottom. The caller is already authenticated (the edge does it for every message):
 *
 *   authenticate → resolve → decide → record intent → lease → forward → withhold secrets → observe → record outcome
 *
 * Each stage takes values and returns a value or a refusal. A fault in any of them propagates and is answered as a refusal by
 * the edge: nothing is forwarded past a stage that did not return.
 */
export async function governCall(
  gateway: Gateway,
  caller: Caller,
  call: ToolCall,
  signal: AbortSignal,
): Promise<Governed> {
  const tool = resolve(gateway, call);
  if (isRefused(tool)) {
    await recordUnknownTool(gateway, caller, call);
    return { reply: tool, recordOutcome: NOTHING_TO_RECORD };
  }

  const decision = await decide(gateway, caller, tool, call);
  const argumentsText = JSON.stringify(call.arguments);
  await recordIntent(gateway, caller, tool, call, decision, argumentsText);
  if (decision.verdict !== 'permit') {
    return { reply: { refusal: { kind: 'denied', decision } }, recordOutcome: NOTHING_TO_RECORD };
  }

  const startedAt = gateway.clock();
  const leased = await lease(gateway, caller, tool, call);
  const held = isRefused(leased) ? undefined : leased.held;
  const withhold = withholdSecrets(held);
  const came = isRefused(leased) ? leased : await forward(gateway, caller, tool, call, leased, argumentsText, signal);
  const { reply, withheld } = withhold(came);
  const outcome = observe(reply, gateway.clock() - startedAt);
  return {
    reply,
    recordOutcome: () =>
      gateway.recordLater({
        type: 'outcome',
        ...identityOf(caller),
        span: call.span,
        connector: tool.connector,
        tool: tool.ref,
        ...(held && { lease: held.lease.id }),
        detail: withheld > 0 ? { ...outcome, credentialsWithheld: withheld } : outcome,
      }),
  };
}
