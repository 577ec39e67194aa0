import { RemitError } from '../../domain/errors.ts';
import type { Refusal } from '../../domain/refusal.ts';
import type { RevocationControl } from '../revocation/build-revocation.ts';
import type { Nodes } from './build-nodes.ts';

type Unavailable = Extract<Refusal, { kind: 'unavailable' }>;

/** Of a node that could not say in time that it is there. */
export const NOT_A_MEMBER: Unavailable = {
  kind: 'unavailable',
  code: 'ERR_STORE_UNREACHABLE',
  reason: 'the gateway cannot confirm that this task is still its own, and so denies everything',
  nextStep: 'Nothing was sent. Try again in a few seconds; it recovers by itself when its store answers.',
  isForwarded: false,
};

/** Why a node that is no member refuses. Asked for once it does: nothing of this is looked at for a call that goes on. */
export function notActing({ clockFault }: Pick<Nodes, 'clockFault'>): Unavailable {
  const fault = clockFault();
  if (fault === undefined) return NOT_A_MEMBER;
  return {
    kind: 'unavailable',
    code: 'ERR_CLOCK_AWAY',
    reason: `${fault}, and so the gateway denies everything`,
    nextStep:
      'Nothing was sent. Whoever runs the gateway must let both hosts synchronise their clocks (NTP); it serves again by itself when they agree.',
    isForwarded: false,
  };
}

/** Before a task begins, or a token is given. @returns throws `ERR_STORE_*` where this node may not act (guarantees V1, D1) */
export function assertActing(
  revocation: Pick<RevocationControl, 'assertCurrent'>,
  nodes: Pick<Nodes, 'confirm' | 'clockFault'> | undefined,
): () => Promise<void> {
  return async () => {
    await revocation.assertCurrent();
    if (nodes === undefined || (await nodes.confirm())) return;
    throw new RemitError('ERR_STORE_UNREACHABLE', notActing(nodes).reason);
  };
}
