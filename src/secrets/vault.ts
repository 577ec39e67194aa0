import { RemitError } from '../domain/errors.ts';
import type { RandomBytes, TenantId } from '../domain/ids.ts';
import { Secret } from '../domain/secret.ts';
import type { Clock, Schedule } from '../seams/clock.ts';
import type { SecretRepository } from '../seams/store.ts';
import { createDataKeyCache } from './data-key-cache.ts';
import { type EnvelopeRecord, openEnvelope, sealEnvelope } from './envelope.ts';
import { createFingerprints } from './fingerprints.ts';
import type { KeyRing } from './key-ring.ts';
import { rowRecord, secretRecord } from './secret-record.ts';

export interface VaultOptions {
  readonly repository: SecretRepository;
  readonly keys: KeyRing;
  readonly tenant: TenantId;
  readonly clock: Clock;
  readonly schedule: Schedule;
  readonly random: RandomBytes;
}

/** What is known of a stored secret without opening it. */
export interface SecretEntry {
  readonly name: string;
  readonly version: number;
  readonly keyId: string;
  /** Milliseconds since the epoch. */
  readonly createdAt: number;
  readonly fingerprint: string | undefined;
}

/** Ciphertext with the name of the key that its data key is wrapped under. */
export interface Sealed {
  readonly keyId: string;
  readonly envelope: Buffer;
}

/** Secrets of one tenant at rest, and sealing for whoever keeps key material in rows of its own. */
export interface Vault {
  /** Stores the next version; returns its number. @throws `ERR_STORE_LOCKED` when someone else stored one meanwhile */
  put(name: string, secret: Secret, fingerprint?: string): Promise<number>;
  /** The same for who has read a version, 0 where there was none: stores the next, if nobody else has. @throws `ERR_STORE_LOCKED` */
  putAfter(name: string, secret: Secret, version: number): Promise<number>;
  /** Equal secrets have equal fingerprints, in all tenants of the store. */
  fingerprint(secret: Secret): Promise<string>;
  /** Newest version. @throws `ERR_SECRET_MISSING`, `ERR_VAULT_KEY_WRONG` (it does not open) */
  get(name: string): Promise<Secret>;
  /** The same with the version that it is. */
  getVersioned(name: string): Promise<{ readonly secret: Secret; readonly version: number }>;
  /** @param names these alone; undefined: all */
  list(names?: readonly string[]): Promise<SecretEntry[]>;
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
  const { repository, keys, tenant, clock, schedule, random } = options;
  const dataKeys = createDataKeyCache(schedule);
  const fingerprints = createFingerprints({ repository, keys, clock, random });

  async function sealUnderKey(record: EnvelopeRecord, bytes: Uint8Array): Promise<Sealed> {
    const { current } = keys;
    return { keyId: current.keyId, envelope: await sealEnvelope(current, record, bytes, random) };
  }

  /** @param isKept whether the data key is wanted again soon */
  async function openUnderKey(record: EnvelopeRecord, sealed: Sealed, what: string, isKept = false): Promise<Buffer> {
    const provider = await keys.find(sealed.keyId);
    if (provider === undefined) {
      const present = [keys.current, ...keys.former].map(({ keyId }) => keyId).join(', ');
      throw new RemitError('ERR_VAULT_KEY_WRONG', `${what} was sealed under ${sealed.keyId}, the key is ${present}`, {
        where: what,
        hint: `Give the gateway the vault key ${sealed.keyId}: as vaultKey, or under formerVaultKeys.`,
      });
    }
    const opened = await openEnvelope(isKept ? dataKeys.of(provider) : provider, record, sealed.envelope);
    if (opened !== undefined) return opened;
    throw new RemitError('ERR_VAULT_KEY_WRONG', `${what} does not open: another vault key, or the record was altered`, {
      where: what,
      hint: 'Bring back the vault key that sealed it, or set it anew.',
    });
  }

  async function getVersioned(name: string): Promise<{ secret: Secret; version: number }> {
    let row = await repository.get(tenant, name);
    // Between reading the row and looking for its key a rotation may have ended: the row is under another key then.
    if (row !== undefined && (await keys.find(row.keyId)) === undefined) row = await repository.get(tenant, name);
    if (row === undefined) {
      throw new RemitError('ERR_SECRET_MISSING', `there is no secret ${name}`, {
        where: name,
        hint: `Store it with \`remit secret put ${name}\`.`,
      });
    }
    // The row's own name and tenant are not trusted: what was asked for is what must open.
    const { version } = row;
    const bytes = await openUnderKey(secretRecord(tenant, name, version), row, `secret ${name}`, true);
    try {
      return { secret: new Secret(bytes), version };
    } finally {
      bytes.fill(0);
    }
  }

  async function putVersion(name: string, secret: Secret, version: number, fingerprint?: string): Promise<number> {
    const bytes = secret.revealBytes();
    try {
      const sealed = await sealUnderKey(secretRecord(tenant, name, version), bytes);
      await repository.put({ tenant, name, version, ...sealed, fingerprint, createdAt: clock() });
      return version;
    } finally {
      bytes.fill(0);
    }
  }

  return {
    put: async (name, secret, fingerprint) =>
      putVersion(name, secret, ((await repository.get(tenant, name))?.version ?? 0) + 1, fingerprint),
    putAfter: (name, secret, version) => putVersion(name, secret, version + 1),
    get: async (name) => (await getVersioned(name)).secret,
    getVersioned,
    async list(names) {
      const rows = await repository.list(tenant, names);
      return rows.map(({ name, version, keyId, createdAt, fingerprint }) => ({
        name,
        version,
        keyId,
        createdAt,
        fingerprint,
      }));
    },
    fingerprint: (secret) => fingerprints.of(secret),
    remove: (name) => repository.remove(tenant, name),
    seal: (record, bytes) => sealUnderKey(rowRecord(tenant, record), bytes),
    open: (record, sealed) => openUnderKey(rowRecord(tenant, record), sealed, record),
  };
}
