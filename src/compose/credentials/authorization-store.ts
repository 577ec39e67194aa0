import type {
  Authorization,
  AuthorizationStore,
  StoredAuthorization,
} from '../../adapters/issuers/mcp-oauth/authorization.ts';
import { isRemitError } from '../../domain/errors.ts';
import type { ConnectorId } from '../../domain/ids.ts';
import { Secret } from '../../domain/secret.ts';
import type { Vault } from '../../secrets/vault.ts';
import { openIdentity, type SealedIdentity, sealIdentity } from './sealed-identity.ts';

/** No secret of a person's can be called so, and `remit secret ls` does not show it. */
export const authorizationName = (connector: ConnectorId): string => `remit-authorization:${connector}`;

/** Members that are secrets, within what is sealed as one. */
interface Sealed extends Omit<Authorization, 'identity' | 'refreshToken' | 'sharedToken'> {
  readonly identity: SealedIdentity;
  readonly refreshToken?: string;
  readonly sharedToken?: { readonly value: string; readonly expiresAt: number };
}

/** What an owner gave in a browser: one row a connector. */
export const createAuthorizationStore = (vault: Vault, connector: ConnectorId): AuthorizationStore =>
  createSealedAuthorizations(vault, authorizationName(connector));

/** One authorization in the vault, sealed; versions by compare-and-set. */
export function createSealedAuthorizations(vault: Vault, name: string): AuthorizationStore {
  return {
    async read() {
      const row = await vault.getVersioned(name).catch((error: unknown) => {
        if (isRemitError(error, 'ERR_SECRET_MISSING')) return undefined;
        throw error;
      });
      if (row === undefined) return undefined;
      const sealed = JSON.parse(row.secret.reveal()) as Sealed;
      row.secret.wipe();
      return { authorization: openAll(sealed), version: row.version };
    },
    async write(authorization, after) {
      const secret = new Secret(JSON.stringify(sealAll(authorization)));
      try {
        return await vault.putAfter(name, secret, after);
      } finally {
        secret.wipe();
      }
    },
    remove: () => vault.remove(name),
  };
}

/** A secret that nobody has stored yet is an authorization that is missing. */
export function readIfThere(store: AuthorizationStore): Promise<StoredAuthorization | undefined> {
  return store.read().catch((error: unknown) => {
    if (isRemitError(error, 'ERR_SECRET_MISSING')) return undefined;
    throw error;
  });
}

function sealAll({ identity, refreshToken, sharedToken, ...rest }: Authorization): Sealed {
  return {
    ...rest,
    identity: sealIdentity(identity),
    ...(refreshToken && { refreshToken: refreshToken.reveal() }),
    ...(sharedToken && { sharedToken: { ...sharedToken, value: sharedToken.value.reveal() } }),
  };
}

function openAll({ identity, refreshToken, sharedToken, ...rest }: Sealed): Authorization {
  return {
    ...rest,
    resource: rest.resource,
    from: rest.from,
    claim: rest.claim,
    unanswered: rest.unanswered,
    ended: rest.ended,
    identity: openIdentity(identity),
    refreshToken: refreshToken === undefined ? undefined : new Secret(refreshToken),
    sharedToken: sharedToken && { ...sharedToken, value: new Secret(sharedToken.value) },
  };
}
