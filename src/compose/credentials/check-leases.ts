import { isFailing } from '../../domain/lease.ts';
import type { Check } from '../diagnose.ts';
import type { Workspace } from '../workspace.ts';

/** Whether credentials that were to be revoked may still be good. @throws `ERR_STORE_*` */
export async function checkLeases({
  estate,
  store,
}: Pick<Workspace, 'estate' | 'store'>): Promise<Omit<Check, 'name'>> {
  const revoking = await store.leases.list(estate.tenant, { states: ['revoking'] });
  const failed = revoking.filter(isFailing);
  const [first] = failed.toSorted((one, other) => (one.failingSince ?? 0) - (other.failingSince ?? 0));
  if (first === undefined) return { state: 'ok', what: 'no revocation of a credential has failed' };
  const { id, connector, failingSince = 0, lastError = 'unknown' } = first;
  return {
    state: 'fail',
    what: `${failed.length} credentials may still be good although they were to be revoked: ${id} of ${connector}, since ${new Date(failingSince).toISOString()}: ${lastError}`,
    hint: 'A gateway tries on; `remit lease ls` shows them, and `remit reap --all` tries them while none runs.',
  };
}
