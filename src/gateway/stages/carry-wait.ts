import type { Waited } from '../../approvals/waiting.ts';
import type { Approval } from '../../domain/approval.ts';
import { Cancellation } from '../../domain/cancellation.ts';
import { withoutHidden } from '../../domain/visible-text.ts';
import type { ClientAnswer } from '../../seams/upstream.ts';
import { featuresOf, missingFeatures } from '../bridge/client-features.ts';
import type { ClientRequest, Question } from '../client-request.ts';
import { type Beating, pulseOf } from '../edge/pulse.ts';
import type { Gateway } from '../gateway.ts';
import type { Operation } from '../operation.ts';

/** `unasked`: the client can neither be sent to a page nor be kept waiting; `declined`: it would not open the page. */
export type Carried = 'unasked' | 'declined';

/** Clients give up a request that says nothing for a minute; progress keeps them waiting. */
const PROGRESS_MS = 5_000;
/** How long one that hears no progress is kept waiting once it has opened the page. */
const SILENT_MS = 40_000;

/**
 * Waits for people, the way that the client can bear: sent to the page by URL elicitation where it declared that, told of the waiting by
 * progress where it asked for that, and not at all otherwise. Whatever the client answers is no verdict (guarantee A6): that it accepts says
 * only that somebody may be looking at the page by now.
 * @param until milliseconds since the epoch
 */
export async function carryWait(
  gateway: Gateway,
  operation: Operation,
  approval: Approval,
  until: number,
): Promise<Waited | Carried> {
  const { request } = operation;
  const { approvals } = gateway;
  const { client, cancellation } = request;
  const canAsk = mayBeSent(request);
  if (!canAsk && !hears(request)) return 'unasked';
  /** Of everything that is begun here: over with the request, and when it has been decided. */
  const over = new Cancellation();
  cancellation.onCancel((reason) => over.cancel(reason));
  const wait = (deadline: number): Promise<Waited> => waitWithProgress(gateway, request, approval, deadline, over);
  try {
    if (!canAsk) return await wait(until);
    const question = questionOf(gateway, operation, approval, over);
    // In 2026-07-28 the question ends the request: nothing is done for a client that has not come back with its retry.
    if (request.era === 'modern') {
      if (!isAccepted(await client.ask(question))) return 'declined';
      return await wait(hears(request) ? until : Math.min(until, silentUntil(gateway)));
    }
    const waiting = wait(until);
    const asking = client.ask(question).then((answer): Waited | Carried | Promise<Waited> => {
      if (isAccepted(answer)) return hears(request) ? waiting : approvals.wait(approval, SILENT_MS, over);
      return 'error' in answer && hears(request) ? waiting : 'declined';
    });
    return await Promise.race([waiting, asking]);
  } finally {
    over.cancel('it has been decided');
  }
}

const silentUntil = ({ clock }: Gateway): number => clock() + SILENT_MS;

const hears = ({ client }: ClientRequest): boolean => client.hearsProgress?.() === true;

function mayBeSent({ client, capabilities }: ClientRequest): boolean {
  return (
    client.canAnswer('elicitation/create') &&
    missingFeatures(featuresOf(capabilities), 'elicitation/create', { mode: 'url' }) === 0
  );
}

function isAccepted(answer: ClientAnswer): boolean {
  return 'result' in answer && answer.result.action === 'accept';
}

function questionOf(gateway: Gateway, { item }: Operation, approval: Approval, over: Cancellation): Question {
  const { id, reason } = approval;
  return {
    connector: item.connector,
    method: 'elicitation/create',
    params: {
      mode: 'url',
      elicitationId: id,
      url: gateway.approvals.urlOf(id),
      message: withoutHidden(
        `${item.exposedName} waits for an approval: ${reason} Open the page to look at the call and to decide. What is answered here decides nothing.`,
      ),
    },
    // The call is decided on anew once it is approved, which is later than this.
    confirm: async () => true,
    over,
  };
}

function waitWithProgress(
  gateway: Gateway,
  request: ClientRequest,
  approval: Approval,
  until: number,
  over: Cancellation,
): Promise<Waited> {
  const { approvals, schedule, clock } = gateway;
  const waiting = approvals.wait(approval, Math.max(0, until - clock()), over);
  let told = 0;
  const entry: Beating = {
    slot: -1,
    beat() {
      told += 1;
      // Small steps: what the connector says of its own progress later is more (2025-11-25: it must rise).
      request.client.notify('notifications/progress', {
        progressToken: request.progressToken,
        progress: told / 1_000_000,
        message: `waiting for a person to approve it: ${approvals.urlOf(approval.id)}`,
      });
    },
  };
  if (!hears(request)) return waiting;
  entry.beat();
  const pulse = pulseOf(schedule, PROGRESS_MS);
  pulse.add(entry);
  return waiting.finally(() => pulse.remove(entry));
}
