import { isRemitError } from '../../domain/errors.ts';

/**
 * Times that a lock is waited for, each as long as a statement may. A node that stands still in a transaction has its locks until the server ends that, which is
 * later than one wait (`open-postgres.ts`).
 */
const TRIES = 4;

/** Does what a start cannot do without, though another node has a lock for a while. @throws what the work throws; a lock that stays, at last */
export async function throughLocks<T>(work: () => Promise<T>): Promise<T> {
  for (let tries = 1; ; tries += 1) {
    try {
      return await work();
    } catch (error) {
      if (tries >= TRIES || !isRemitError(error, 'ERR_STORE_LOCKED')) throw error;
    }
  }
}
