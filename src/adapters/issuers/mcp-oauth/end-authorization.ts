import { tokenRevocation } from 'openid-client';
import { RemitError } from '../../../domain/errors.ts';
import { describeFault } from '../issuer-faults.ts';
import { summary } from '../oauth-summary.ts';
import { configure } from './configure.ts';
import { findServer } from './find-server.ts';
import { TAKEN_AWAY } from './keep-rotated.ts';
import type { McpOauthSetup } from './setup.ts';

/**
 * Takes an authorization away: from then on no lease is made of it, its refresh token is revoked where the server does that, and it is
 * forgotten, in this order.
 * @param endLeases while it is still known who Remit was there
 * @returns whether the server revoked it; undefined where there was none
 * @throws `ERR_CREDENTIAL_REVOKE` where the server could not be asked: it is kept then, unused, so that this can be repeated
 */
export async function endAuthorization(
  setup: McpOauthSetup,
  endLeases: () => Promise<unknown>,
): Promise<{ revoked: boolean } | undefined> {
  const { store, url, clock } = setup;
  const row = await store.read();
  if (row === undefined) return undefined;
  const { authorization, version } = row;
  await store.write({ ...authorization, claim: undefined, ended: { at: clock(), reason: TAKEN_AWAY } }, version);
  await endLeases();
  const token = authorization.refreshToken ?? authorization.sharedToken?.value;
  let isRevoked = false;
  try {
    const metadata = await findServer(authorization.issuer, url, setup.fetch);
    if (metadata.revocation_endpoint !== undefined && token !== undefined) {
      await tokenRevocation(await configure(setup, metadata, authorization.identity), token.reveal());
      isRevoked = true;
    }
  } catch (error) {
    throw new RemitError(
      'ERR_CREDENTIAL_REVOKE',
      `the authorization may still be good there: ${describeFault(summary(error))}`,
      {
        where: authorization.issuer,
        hint: 'Nothing uses it any more. Run this again when that server answers, or end it there.',
      },
    );
  }
  await store.remove();
  return { revoked: isRevoked };
}
