import type { TenantId } from '../domain/ids.ts';
import type { EnvelopeRecord } from './envelope.ts';

/** What the envelope of a secret belongs to. The prefixes keep a sealed row from being passed off as a secret, and the reverse. */
export const secretRecord = (tenant: TenantId, name: string, version: number): EnvelopeRecord => ({
  tenant,
  name: `secret:${name}`,
  version,
});

/** What the envelope of a row outside the vault belongs to, for example `task-key:tsk_…`. */
export const rowRecord = (tenant: TenantId, record: string): EnvelopeRecord => ({
  tenant,
  name: `record:${record}`,
  version: 1,
});
