import { isRemitError } from '../../../domain/errors.ts';
import type { Authorization, AuthorizationStore } from './authorization.ts';

/** An answer's authorization, to be written over the row that its refresh had claimed. */
export interface Rotated {
  readonly authorization: Authorization;
  /** That the claim was written as. */
  readonly version: number;
  /** Refresh token that was sent for it. */
  readonly sent: string;
}

const MOST_TRIES = 5;

/**
 * Stores it by compare-and-set. Whoever took a claim over that had lasted too long may have written meanwhile: while the row still holds the
 * token that was sent, what came for it is its successor, and the only one that is good, whatever has been found out with the old one.
 * @throws `ERR_STORE_LOCKED` where the row is of another authorization by now, or taken away; `ERR_STORE_…`
 */
export async function keepRotated(store: AuthorizationStore, { authorization, version, sent }: Rotated): Promise<void> {
  let after = version;
  for (let tries = 1; ; tries++) {
    try {
      await store.write(authorization, after);
      return;
    } catch (error) {
      if (!isRemitError(error, 'ERR_STORE_LOCKED') || tries === MOST_TRIES) throw error;
      const row = await store.read();
      if (row === undefined || !isPredecessor(row.authorization, authorization.issuer, sent)) throw error;
      after = row.version;
    }
  }
}

const isPredecessor = ({ issuer, refreshToken, ended }: Authorization, of: string, sent: string): boolean =>
  issuer === of && refreshToken?.reveal() === sent && ended?.reason !== TAKEN_AWAY;

export const TAKEN_AWAY = 'taken_away';
