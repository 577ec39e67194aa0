import type { TenantId } from '../domain/ids.ts';
import type { Revocation, RevocationAction, RevocationSubject } from '../domain/revocation.ts';
import type { Clock } from '../seams/clock.ts';
import type { RevocationRepository } from '../seams/store.ts';
import { BOUND_MS } from './bounds.ts';
import type { RevocationReader } from './revocation-reader.ts';

export interface RevocationOrder {
  readonly action: RevocationAction;
  readonly subject: RevocationSubject;
  readonly by: string;
  readonly reason: string;
}

/** Given only for what is durable. */
export interface Acknowledged {
  readonly row: Revocation;
  /** By then it binds on every node: one that has not read it denies everything. Milliseconds since the epoch. */
  readonly bindsAt: number;
}

export interface RevokeParts {
  readonly tenant: TenantId;
  readonly repository: Pick<RevocationRepository, 'append'>;
  /** Absent where no gateway runs: the row binds at its next start, and on every other node. */
  readonly reader?: Pick<RevocationReader, 'take'>;
  readonly clock: Clock;
}

/**
 * One durable append; then it is applied here at once (V1). The caller has put it on the trail before.
 * @throws `ERR_STORE_*`: it is not acknowledged. It may have been made all the same, and then it is read like any other
 */
export async function revoke(parts: RevokeParts, order: RevocationOrder): Promise<Acknowledged> {
  const { tenant, repository, reader, clock } = parts;
  const row = await repository.append({ tenant, ...order, at: clock() });
  const bindsAt = clock() + BOUND_MS;
  await reader?.take(row);
  return { row, bindsAt };
}
