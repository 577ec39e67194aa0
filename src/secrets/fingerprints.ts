import { createHmac } from 'node:crypto';
import { isRemitError, RemitError } from '../domain/errors.ts';
import { type RandomBytes, type TenantId, tenantId } from '../domain/ids.ts';
import type { Secret } from '../domain/secret.ts';
import type { Clock } from '../seams/clock.ts';
import type { SecretRepository } from '../seams/store.ts';
import { openEnvelope, sealEnvelope } from './envelope.ts';
import type { KeyRing } from './key-ring.ts';
import { secretRecord } from './secret-record.ts';

/**
 * Owner of what belongs to the whole store: no tenant can be called so. Tenants that share a store share its vault key, and one fingerprint
 * key, so that a secret which two of them have is seen.
 */
export const STORE_WIDE: TenantId = tenantId('*');
const KEY_NAME = 'remit-fingerprint-key';
const KEY_BYTES = 32;

/** Sees equal secrets without keeping any: HMAC-SHA-256 under a key of the vault's own. Without that key nothing can be tried out against it. */
export interface Fingerprints {
  /** 64 hex digits. @throws `ERR_VAULT_KEY_…`, `ERR_STORE_…` */
  of(secret: Secret): Promise<string>;
}

export function createFingerprints(parts: {
  readonly repository: SecretRepository;
  readonly keys: KeyRing;
  readonly clock: Clock;
  readonly random: RandomBytes;
}): Fingerprints {
  const { repository, keys, clock, random } = parts;
  const record = secretRecord(STORE_WIDE, KEY_NAME, 1);

  async function load(): Promise<Buffer | undefined> {
    const row = await repository.get(STORE_WIDE, KEY_NAME);
    if (row === undefined) return undefined;
    const provider = await keys.find(row.keyId);
    const key = provider && (await openEnvelope(provider, record, row.envelope));
    if (key?.length === KEY_BYTES) return key;
    throw new RemitError('ERR_VAULT_KEY_WRONG', 'the key that fingerprints are made with does not open', {
      where: KEY_NAME,
      hint: `Give the gateway the vault key ${row.keyId} that sealed it; whoever shares a store shares its vault key.`,
    });
  }

  async function loadOrCreate(): Promise<Buffer> {
    const known = await load();
    if (known !== undefined) return known;
    const key = Buffer.from(random(KEY_BYTES));
    const { current } = keys;
    const row = { tenant: STORE_WIDE, name: KEY_NAME, version: 1, fingerprint: undefined, createdAt: clock() };
    try {
      await repository.put({
        ...row,
        keyId: current.keyId,
        envelope: await sealEnvelope(current, record, key, random),
      });
      return key;
    } catch (error) {
      key.fill(0);
      // Another process was first: its key is the one.
      const theirs = isRemitError(error, 'ERR_STORE_LOCKED') ? await load() : undefined;
      if (theirs === undefined) throw error;
      return theirs;
    }
  }

  return {
    async of(secret) {
      const key = await loadOrCreate();
      const bytes = secret.revealBytes();
      try {
        return createHmac('sha256', key).update(bytes).digest('hex');
      } finally {
        key.fill(0);
        bytes.fill(0);
      }
    },
  };
}
