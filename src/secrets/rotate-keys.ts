import { RemitError } from '../domain/errors.ts';
import type { TenantId } from '../domain/ids.ts';
import type { SealedRow, SealedRowRepository } from '../seams/store.ts';
import { type EnvelopeRecord, rewrapEnvelope } from './envelope.ts';
import { STORE_WIDE } from './fingerprints.ts';
import type { KeyRing } from './key-ring.ts';
import { rowRecord, secretRecord } from './secret-record.ts';

export interface Rotation {
  readonly repository: SealedRowRepository;
  readonly keys: KeyRing;
  readonly tenant: TenantId;
  /** Name under which the vault sealed a row of somebody else's. */
  readonly recordOf: (row: SealedRow) => string;
  /** Told after each batch. */
  readonly onProgress?: (rewrapped: number) => void;
}

/** Rows asked for at once: each is changed on its own, so that a crash loses one at most, and nobody waits for a lock. */
const BATCH = 100;

/**
 * Wraps the data key of every row that is under a former key with the current one, row by row; what it reads stays readable throughout, as
 * both keys are known. Stopped at any point, it goes on where it was: what is done is known by its row.
 * @returns how many rows were changed
 * @throws `ERR_VAULT_KEY_WRONG` for a row that does not open under its key: it, and the former keys, stay as they are
 */
export async function rewrapAll(rotation: Rotation): Promise<number> {
  const { repository, keys, tenant, onProgress } = rotation;
  const tenants = [tenant, STORE_WIDE];
  let rewrapped = 0;
  for (;;) {
    const formerIds = keys.former.map(({ keyId }) => keyId);
    const rows = await repository.under(tenants, formerIds, BATCH);
    if (rows.length === 0) return rewrapped;
    for (const row of rows) if (await rewrap(rotation, row)) rewrapped++;
    onProgress?.(rewrapped);
  }
}

async function rewrap({ repository, keys, tenant, recordOf }: Rotation, row: SealedRow): Promise<boolean> {
  const from = keys.former.find(({ keyId }) => keyId === row.keyId);
  const envelope = from && (await rewrapEnvelope(from, keys.current, recordText(row, tenant, recordOf), row.envelope));
  if (envelope === undefined) {
    throw new RemitError('ERR_VAULT_KEY_WRONG', `a row does not open under ${row.keyId}: ${row.kind} ${row.id}`, {
      where: `${row.kind} ${row.id}`,
      hint: 'Another key has that name, or the row was altered. Restore it from a backup or remove it, then run this again.',
    });
  }
  // Somebody may have changed it meanwhile: then it is under the current key, or comes again with the next batch.
  return repository.replace(row, { keyId: keys.current.keyId, envelope });
}

function recordText(row: SealedRow, tenant: TenantId, recordOf: Rotation['recordOf']): EnvelopeRecord {
  if (row.kind === 'secret') return secretRecord(row.tenant, row.id, row.version);
  return rowRecord(row.kind === 'signing_key' ? tenant : row.tenant, recordOf(row));
}
