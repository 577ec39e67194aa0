import { isRemitError, messageOf } from '../../domain/errors.ts';
import { type Refused, refuse } from '../../domain/refusal.ts';
import type { HeldLease } from '../../leases/held-lease.ts';
import type { Gateway } from '../gateway.ts';
import type { Operation } from '../operation.ts';
import type { Caller } from './authenticate.ts';
import { identityOf } from './record-intent.ts';

/** The credential for the call; undefined where the connector needs none. The agent never sees it (guarantee L6). */
export interface Leased {
  readonly held: HeldLease | undefined;
}

const NONE: Leased = { held: undefined };

type Needed = Pick<Operation, 'item' | 'span'> & Partial<Pick<Operation, 'method' | 'args'>>;

/** Synchronous where the task holds the lease already. */
export function lease(
  gateway: Gateway,
  caller: Caller,
  operation: Needed,
): Leased | Refused | Promise<Leased | Refused> {
  try {
    const acquired = gateway.acquireLease(caller.task, operation.item.connector, operation.item);
    if (!(acquired instanceof Promise)) return used(gateway, caller, operation, acquired);
    return acquired.then(
      (held) => used(gateway, caller, operation, held),
      (error: unknown) => failed(gateway, caller, operation, error),
    );
  } catch (error) {
    return failed(gateway, caller, operation, error);
  }
}

function used(gateway: Gateway, caller: Caller, operation: Needed, held: HeldLease | undefined): Leased {
  if (held === undefined) return NONE;
  const { item, span } = operation;
  const fuller = gateway.legacy?.detailText(caller.task.id, operation);
  held.countCall();
  // Durable before or with the outcome; the permission to forward rests on the decision record, which already is.
  gateway.recordLater({
    type: 'credential_used',
    ...identityOf(caller),
    span,
    connector: item.connector,
    tool: item.ref,
    lease: held.lease.id,
    detail: fuller === undefined ? useText(held) : `${useText(held).slice(0, -1)},${fuller}}`,
  });
  return { held };
}

const useTexts = new WeakMap<HeldLease, string>();

/** Once a lease. */
function useText(held: HeldLease): string {
  let text = useTexts.get(held);
  if (text === undefined) {
    text = JSON.stringify({ issuer: held.lease.issuer, scope: held.lease.scope });
    useTexts.set(held, text);
  }
  return text;
}

function failed(gateway: Gateway, { task }: Caller, { item }: Needed, error: unknown): Refused {
  const { connector } = item;
  gateway.log.error({ connector, task: task.id, error: messageOf(error) }, 'no credential could be leased');
  return refuse({
    kind: 'unavailable',
    code: isRemitError(error) ? error.code : 'ERR_CREDENTIAL_ISSUE',
    reason: `no credential could be leased for ${connector}`,
    nextStep: 'Try again; if it persists, the connector’s owner should look at `remit doctor` and the gateway’s log.',
    isForwarded: false,
  });
}
