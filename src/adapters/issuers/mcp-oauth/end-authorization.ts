import { tokenRevocation } from 'openid-client';
import { RemitError } from '../../../domain/errors.ts';
import type { Lease } from '../../../domain/lease.ts';
import { describeFault } from '../issuer-faults.ts';
import { summary } from '../oauth-summary.ts';
import { configure } from './configure.ts';
import { findServer } from './find-server.ts';
import { TAKEN_AWAY } from './keep-rotated.ts';
import type { McpOauthSetup } from './setup.ts';

/**
 * Takes an authorization away: from then on no lease is made of it, its leases and its refresh token are revoked where the server does that, and it
 * is forgotten, in this order. It is kept, unused, until its last lease has ended: without it nobody knows who Remit was there (L4).
 * @param endLeases resolves with its leases, as they stand after an attempt at each
 * @returns whether the server revoked it; undefined where there was none
 * @throws `ERR_CREDENTIAL_REVOKE` where something of it may still be good there: it is kept then, so that this can be repeated
 */
export async function endAuthorization(
  setup: McpOauthSetup,
  endLeases: () => Promise<readonly Lease[]>,
): Promise<{ revoked: boolean } | undefined> {
  const { store, url, clock } = setup;
  const row = await store.read();
  if (row === undefined) return undefined;
  const { authorization, version } = row;
  await store.write({ ...authorization, claim: undefined, ended: { at: clock(), reason: TAKEN_AWAY } }, version);
  const left = (await endLeases()).filter(({ state }) => state === 'revoking');
  const token = authorization.refreshToken ?? authorization.sharedToken?.value;
  const mayBeGood = (what: string, reason: string): RemitError =>
    new RemitError('ERR_CREDENTIAL_REVOKE', `${what} may still be good there: ${reason}`, {
      where: authorization.issuer,
      hint: 'Nothing uses it any more. Run this again when that server answers, or end it there.',
    });
  let isRevoked = false;
  try {
    const metadata = await findServer(authorization.issuer, url, setup.fetch);
    if (metadata.revocation_endpoint !== undefined && token !== undefined) {
      await tokenRevocation(await configure(setup, metadata, authorization.identity), token.reveal());
      isRevoked = true;
    }
  } catch (error) {
    throw mayBeGood('the authorization', describeFault(summary(error)));
  }
  const [first] = left;
  if (first !== undefined) {
    throw mayBeGood(`${left.length} of its leases`, `${first.id}: ${first.lastError ?? 'it was being issued'}`);
  }
  await store.remove();
  return { revoked: isRevoked };
}
