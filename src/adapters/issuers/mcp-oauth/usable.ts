import { RemitError } from '../../../domain/errors.ts';
import type { StoredAuthorization } from './authorization.ts';
import type { McpOauthSetup } from './setup.ts';

/** Why a server's `invalid_grant` may have come: kept with the authorization that it ended. */
export const AFTER_REVOKE = 'invalid_grant after a lease was revoked';
export const AFTER_LOST_ANSWER = 'invalid_grant after an answer was lost';

const WHY: Readonly<Record<string, string>> = {
  [AFTER_REVOKE]:
    'Its server seems to take revoking one token for revoking all: set revokeTokens: false of its credential first. ',
  [AFTER_LOST_ANSWER]:
    'The answer to a refresh was lost on the way, with the refresh token in it, and its server takes the one before no more: give Remit’s client a grace for rotated tokens there, if it has one. ',
};

type Named = Pick<McpOauthSetup, 'connector' | 'renewal'>;

/** @throws `ERR_CREDENTIAL_ISSUE` where nobody has authorised Remit, or nobody has anew */
export function usable(row: StoredAuthorization | undefined, setup: Named): StoredAuthorization {
  if (row === undefined) {
    throw new RemitError('ERR_CREDENTIAL_ISSUE', 'nobody has authorised Remit at its server', {
      where: `connectors.${setup.connector}`,
      hint: setup.renewal,
    });
  }
  if (row.authorization.ended !== undefined) throw over(setup, row.authorization.ended.reason);
  return row;
}

export function over({ connector, renewal }: Named, reason: string): RemitError {
  return new RemitError('ERR_CREDENTIAL_ISSUE', 'its authorization server takes the authorization no more', {
    where: `connectors.${connector}`,
    hint: `${WHY[reason] ?? ''}${renewal}`,
  });
}
