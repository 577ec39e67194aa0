import { RemitError } from '../domain/errors.ts';
import type { RandomBytes, TenantId } from '../domain/ids.ts';
import { Secret } from '../domain/secret.ts';
import type { Clock } from '../seams/clock.ts';
import type { KeyProvider } from '../seams/key-provider.ts';
import type { SecretRepository } from '../seams/store.ts';
import { type EnvelopeRecord, openEnvelope, sealEnvelope } from './envelope.ts';

export interface VaultOptions {
  readonly repository: SecretRepository;
  readonly keys: KeyProvider;
  readonly tenant: TenantId;
  readonly clock: Clock;
  readonly random: RandomBytes;
}

/** What is known of a stored secret without opening it. */
export interface SecretEntry {
  readonly name: string;
  readonly version: number;
  readonly keyId: string;
  /** Milliseconds since the epoch. */
  readonly createdAt: number;
}

/** Ciphertext with the name of the key that its data key is wrapped under. */
export interface Sealed {
  readonly keyId: string;
  readonly envelope: Buffer;
}

/** Secrets of one tenant at rest, and sealing for whoever keeps key material in rows of its own. */
export interface Vault {
  /** Stores the next version; returns its number. @throws `ERR_STORE_LOCKED` when someone else stored one meanwhile */
  put(name: string, secret: Secret): Promise<number>;
  /** Newest version. @throws `ERR_SECRET_MISSING`, `ERR_VAULT_KEY_WRONG` (it does not open) */
  get(name: string): Promise<Secret>;
  list(): Promise<SecretEntry[]>;
  /** False when there was none. */
  remove(name: string): Promise<boolean>;
  /**
   * Seals bytes for a row outside the vault, for example `task-key:tsk_…` or `signing-key:<kid>`.
   * @param record names the row, unique in the tenant; opening needs the same
   */
  seal(record: string, bytes: Uint8Array): Promise<Sealed>;
  /** @throws `ERR_VAULT_KEY_WRONG` when it does not open for this record */
  open(record: string, sealed: Sealed): Promise<Buffer>;
}

export function createVault(options: VaultOptions): Vault {
  const { repository, keys, tenant, clock, random } = options;
  // The prefixes keep a sealed row from being passed off as a secret, and the reverse.
  const ofSecret = (name: string, version: number): EnvelopeRecord => ({ tenant, name: `secret:${name}`, version });
  const ofRecord = (record: string): EnvelopeRecord => ({ tenant, name: `record:${record}`, version: 1 });

  async function sealUnderKey(record: EnvelopeRecord, bytes: Uint8Array): Promise<Sealed> {
    return { keyId: keys.keyId, envelope: sealEnvelope(await keys.key(), record, bytes, random) };
  }

  async function openUnderKey(record: EnvelopeRecord, sealed: Sealed, what: string): Promise<Buffer> {
    if (sealed.keyId !== keys.keyId) {
      throw new RemitError(
        'ERR_VAULT_KEY_WRONG',
        `${what} was sealed under ${sealed.keyId}, the key is ${keys.keyId}`,
        {
          where: what,
          hint: `Give the gateway the vault key ${sealed.keyId}.`,
        },
      );
    }
    const opened = openEnvelope(await keys.key(), record, sealed.envelope);
    if (opened !== undefined) return opened;
    throw new RemitError('ERR_VAULT_KEY_WRONG', `${what} does not open: another vault key, or the record was altered`, {
      where: what,
      hint: 'Bring back the vault key that sealed it, or set it anew.',
    });
  }

  return {
    async put(name, secret) {
      const version = ((await repository.get(tenant, name))?.version ?? 0) + 1;
      const bytes = secret.revealBytes();
      try {
        const sealed = await sealUnderKey(ofSecret(name, version), bytes);
        await repository.put({ tenant, name, version, ...sealed, createdAt: clock() });
        return version;
      } finally {
        bytes.fill(0);
      }
    },
    async get(name) {
      const row = await repository.get(tenant, name);
      if (row === undefined) {
        throw new RemitError('ERR_SECRET_MISSING', `there is no secret ${name}`, {
          where: name,
          hint: `Store it with \`remit secret set ${name}\`.`,
        });
      }
      // The row's own name and tenant are not trusted: what was asked for is what must open.
      const bytes = await openUnderKey(ofSecret(name, row.version), row, `secret ${name}`);
      try {
        return new Secret(bytes);
      } finally {
        bytes.fill(0);
      }
    },
    async list() {
      const rows = await repository.list(tenant);
      return rows.map(({ name, version, keyId, createdAt }) => ({ name, version, keyId, createdAt }));
    },
    remove: (name) => repository.remove(tenant, name),
    seal: (record, bytes) => sealUnderKey(ofRecord(record), bytes),
    open: (record, sealed) => openUnderKey(ofRecord(record), sealed, record),
  };
}
