import { isRemitError, RemitError } from '../../../domain/errors.ts';
import type { StoredAuthorization } from './authorization.ts';
import type { McpOauthSetup } from './setup.ts';
import { usable } from './usable.ts';

/** Longer than a refresh takes: a claim that lasts longer was left by a process that is gone. */
const CLAIM_MS = 20_000;
const LOOK_AGAIN_MS = 100;
/** Longer than one claim of another lasts. */
const MOST_LOOKS = 250;

/**
 * The row, claimed by this process alone, whoever else there is: by compare-and-set, before anything is sent. A claim that was left behind is
 * taken over, and with it that its refresh token may be used up.
 * @param self names this process
 * @param isClosing ends the waiting for another
 * @throws `ERR_CREDENTIAL_ISSUE`, `ERR_STORE_…`
 */
export async function claimRefresh(
  setup: McpOauthSetup,
  self: string,
  isClosing: () => boolean,
): Promise<StoredAuthorization> {
  const { store, clock, schedule, claimMs = CLAIM_MS } = setup;
  const pause = (): Promise<void> => new Promise((resolve) => void schedule(LOOK_AGAIN_MS, resolve));
  for (let look = 0; look < MOST_LOOKS && !isClosing(); look++) {
    const row = usable(await store.read(), setup);
    const { claim: other, unanswered: known } = row.authorization;
    if (other === undefined || other.by === self || other.until <= clock()) {
      const left = other && { at: other.until - claimMs };
      const claim = { by: self, until: clock() + claimMs };
      const authorization = { ...row.authorization, claim, unanswered: known ?? left };
      const version = await store.write(authorization, row.version).catch((error: unknown) => {
        if (isRemitError(error, 'ERR_STORE_LOCKED')) return undefined;
        throw error;
      });
      if (version !== undefined) return { authorization, version };
    } else await pause();
  }
  throw new RemitError('ERR_CREDENTIAL_ISSUE', 'another gateway does not come to an end refreshing the authorization', {
    hint: 'Try again.',
  });
}
