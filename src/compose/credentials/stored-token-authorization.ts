import type {
  Authorization,
  AuthorizationStore,
  OauthIdentity,
} from '../../adapters/issuers/mcp-oauth/authorization.ts';
import { RemitError } from '../../domain/errors.ts';
import { Secret } from '../../domain/secret.ts';
import type { Clock } from '../../seams/clock.ts';
import type { Vault } from '../../secrets/vault.ts';
import { createSealedAuthorizations } from './authorization-store.ts';

/** Of the secret, not of a connector: what several connectors share under an exception is refreshed once for all of them. */
export const storedTokenName = (secret: string): string => `remit-refresh:${secret}`;

/** Removes a secret, and what a server has rotated it into since. @returns whether there was one */
export async function removeSecret(vault: Pick<Vault, 'remove'>, name: string): Promise<boolean> {
  // In this order: without its secret the row is used by nobody, and without the row a secret that was used up would begin anew.
  const wasThere = await vault.remove(name);
  await vault.remove(storedTokenName(name));
  return wasThere;
}

export interface StoredTokenParts {
  readonly vault: Vault;
  readonly clock: Clock;
  /** Name of the secret that an owner put the refresh token in. */
  readonly secret: string;
  readonly issuer: string;
  readonly resource: string | undefined;
  readonly identity: OauthIdentity;
}

/**
 * The authorization that a refresh token out of the vault is. The secret is where it begins; what the server rotates it into is kept in a row of
 * its own, until the owner stores another one.
 */
export function createStoredTokenAuthorization(parts: StoredTokenParts): AuthorizationStore {
  const { vault, clock, secret, issuer, resource, identity } = parts;
  const rows = createSealedAuthorizations(vault, storedTokenName(secret));

  return {
    async read() {
      const { secret: token, version } = await vault.getVersioned(secret);
      try {
        // Not the version alone: one that was removed and put again begins at 1.
        const from = `${version} ${await vault.fingerprint(token)}`;
        const row = await rows.read();
        if (row === undefined || row.authorization.from !== from) {
          return { authorization: begin(token, from), version: row?.version ?? 0 };
        }
        if (row.authorization.issuer !== issuer) throw elsewhere(secret, row.authorization);
        return { ...row, authorization: { ...row.authorization, resource, identity } };
      } finally {
        token.wipe();
      }
    },
    write: (authorization, after) => rows.write(authorization, after),
    /** The row stays, and that it was taken away: without it the secret would begin anew. */
    remove: async () => (await rows.read()) !== undefined,
  };

  function begin(token: Secret, from: string): Authorization {
    const bytes = token.revealBytes();
    const refreshToken = new Secret(bytes);
    bytes.fill(0);
    return {
      issuer,
      resource,
      identity,
      scopes: [],
      refreshToken,
      sharedToken: undefined,
      authorizedAt: clock(),
      authorizedBy: `secret ${secret}`,
      from,
      claim: undefined,
      unanswered: undefined,
      ended: undefined,
    };
  }
}

function elsewhere(secret: string, { issuer }: Authorization): RemitError {
  return new RemitError('ERR_CREDENTIAL_ISSUE', `the refresh token in ${secret} belongs to ${issuer}`, {
    hint: `A refresh token is never shown to another server. Store one of the server that is configured now: \`remit secret put ${secret}\`.`,
  });
}
