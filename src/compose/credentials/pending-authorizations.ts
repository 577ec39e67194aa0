import { hash } from 'node:crypto';
import type { PendingAuthorization } from '../../adapters/issuers/mcp-oauth/authorizer.ts';
import type { ConnectorId, RandomBytes, TenantId } from '../../domain/ids.ts';
import type { Clock } from '../../seams/clock.ts';
import type { OAuthRepository } from '../../seams/store.ts';
import { createSealedTexts } from '../../secrets/sealed-texts.ts';
import { openIdentity, type SealedIdentity, sealIdentity } from './sealed-identity.ts';

/** Authorizations that wait for their owners' browsers, at whichever node, through restarts. @throws `ERR_STORE_…` each of them */
export interface PendingAuthorizations {
  /** In place of the one before of the same connector. */
  keep(connector: ConnectorId, pending: PendingAuthorization): Promise<void>;
  /** Single use: whoever comes second with the same state, at any node, finds nothing. */
  take(
    state: string | null,
  ): Promise<{ readonly connector: ConnectorId; readonly pending: PendingAuthorization } | undefined>;
  /** At every node, when it resolves. */
  forget(connector: ConnectorId): Promise<void>;
}

/** A type, so that it is JSON. */
type Sealed = Omit<PendingAuthorization, 'identity'> & { readonly identity: SealedIdentity };

/** How long an owner has to come back from the browser. */
const PENDING_MS = 600_000;
const MODEL = 'connector_authorization';
/** Of a state, which has 43 characters. */
const LONGEST_STATE = 64;

/**
 * A row a connector, sealed under a key that comes of the store's shared one: who can write the store and has not the vault's key makes none. It is found by the
 * digest of its state, so who can read the store cannot answer in the owner's name.
 */
export function createPendingAuthorizations(parts: {
  readonly tenant: TenantId;
  readonly repository: Pick<OAuthRepository, 'upsert' | 'findByUid' | 'takeByUid' | 'destroy'>;
  /** The one that all nodes have. */
  readonly stateKey: Buffer;
  /** What an authorization is for, as configured: one that was begun for something else is none here. */
  readonly targets: ReadonlyMap<ConnectorId, readonly unknown[]>;
  readonly clock: Clock;
  readonly random: RandomBytes;
}): PendingAuthorizations {
  const { tenant, repository, targets, clock } = parts;
  const texts = createSealedTexts({
    ...parts,
    purpose: 'remit connector authorizations',
    label: 'remit/connector-authorization/1',
  });
  const digest = (...about: string[]): string => hash('sha256', JSON.stringify([tenant, ...about]), 'base64url');
  const rowOf = (connector: ConnectorId): string => digest('connector', connector);
  const uidOf = (state: string): string => digest('state', state);
  const aboutOf = (connector: ConnectorId, uid: string): string =>
    JSON.stringify([connector, uid, targets.get(connector)]);
  const connectors = new Map([...targets.keys()].map((connector) => [rowOf(connector), connector]));

  function open(connector: ConnectorId, uid: string, payload: object): PendingAuthorization | undefined {
    const { sealed } = payload as { readonly sealed?: unknown };
    const value = typeof sealed === 'string' ? texts.open(aboutOf(connector, uid), sealed) : undefined;
    // Sealed by whichever node of ours made it.
    return value && openAll(value as unknown as Sealed);
  }

  return {
    async keep(connector, pending) {
      const uid = uidOf(pending.state);
      const sealed = texts.seal(aboutOf(connector, uid), sealAll(pending), PENDING_MS);
      await repository.upsert(MODEL, rowOf(connector), { uid, sealed }, Math.ceil((clock() + PENDING_MS) / 1_000));
    },
    async take(state) {
      if (state === null || state.length > LONGEST_STATE) return undefined;
      const uid = uidOf(state);
      // Anybody may come with any state: who is wrong costs a look, and no write.
      const found = await repository.findByUid(MODEL, uid, Math.floor(clock() / 1_000));
      if (found === undefined || !connectors.has(found.id)) return undefined;
      const row = await repository.takeByUid(MODEL, uid);
      const connector = row && connectors.get(row.id);
      const pending = connector && open(connector, uid, row.payload);
      return pending && { connector, pending };
    },
    forget: (connector) => repository.destroy(MODEL, rowOf(connector)),
  };
}

function sealAll({ state, verifier, metadata, identity, resource, scopes, by }: PendingAuthorization): Sealed {
  return { state, verifier, metadata, identity: sealIdentity(identity), resource, scopes, by };
}

function openAll({ identity, resource, ...rest }: Sealed): PendingAuthorization {
  return { ...rest, resource, identity: openIdentity(identity) };
}
