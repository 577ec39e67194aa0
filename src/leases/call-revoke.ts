import { RemitError } from '../domain/errors.ts';
import type { Lease } from '../domain/lease.ts';
import type { Secret } from '../domain/secret.ts';
import type { Issuer } from '../seams/issuer.ts';
import type { RevokeContext } from './lease-context.ts';
import { within } from './wait.ts';

/**
 * The issuer of a lease: its connector's, or, where that is gone or has another one now, one for the same downstream.
 * @throws `ERR_CREDENTIAL_REVOKE` where there is none
 */
export function issuerFor(
  context: Pick<RevokeContext, 'issuerOf' | 'issuerAt'>,
  lease: Pick<Lease, 'connector' | 'issuer' | 'downstream' | 'tag'>,
): Issuer {
  const own = context.issuerOf(lease.connector)?.issuer;
  const isOwn = own?.kind === lease.issuer && (lease.downstream === '' || own.downstream === lease.downstream);
  const issuer = isOwn ? own : context.issuerAt?.(lease.issuer, lease.downstream);
  if (issuer !== undefined) return issuer;
  throw new RemitError('ERR_CREDENTIAL_REVOKE', `connector ${lease.connector} has no ${lease.issuer} issuer any more`, {
    where: lease.connector,
    hint: `Put its credential section back until its leases have ended, or remove ${lease.tag} by hand.`,
  });
}

/** What revoking needs beyond the row, as the row keeps it. @throws `ERR_VAULT_KEY_WRONG`, `ERR_STORE_*` */
export async function storedHandle({ repository, handles }: RevokeContext, lease: Lease): Promise<Secret | undefined> {
  const sealed = await repository.handle(lease.tenant, lease.id);
  return sealed === undefined ? undefined : handles.open(lease.id, sealed);
}

/** One revoke, waited for within the bound. */
export async function callIssuer(
  context: RevokeContext,
  issuer: Issuer,
  lease: Lease,
  handle: Secret | undefined,
): Promise<void> {
  const { revokeMs } = context.limits;
  const late = () => new RemitError('ERR_CREDENTIAL_REVOKE', `no answer within ${revokeMs} ms`);
  await within(
    Promise.resolve().then(() => issuer.revoke(lease, handle)),
    revokeMs,
    context.schedule,
    late,
  );
}
