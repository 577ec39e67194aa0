import { RemitError } from '../domain/errors.ts';
import type { Lease } from '../domain/lease.ts';
import type { Secret } from '../domain/secret.ts';
import type { Issuer } from '../seams/issuer.ts';
import type { IssuerBinding, RevokeContext } from './lease-context.ts';
import { within } from './wait.ts';

type Issued = Pick<Lease, 'connector' | 'issuer' | 'downstream'>;

/** What its connector has, as far as that is of the lease: the connector may have been given another issuer, or another downstream, since. */
export function bindingFor({ issuerOf }: Pick<RevokeContext, 'issuerOf'>, lease: Issued): IssuerBinding | undefined {
  const own = issuerOf(lease.connector);
  const isOf = own?.issuer.kind === lease.issuer;
  return isOf && (lease.downstream === '' || own.issuer.downstream === lease.downstream) ? own : undefined;
}

/** The issuer of a lease: its connector's, or, where that is gone or has another one now, one for the same downstream. Undefined where there is none. */
export function issuerFor(context: Pick<RevokeContext, 'issuerOf' | 'issuerAt'>, lease: Issued): Issuer | undefined {
  return bindingFor(context, lease)?.issuer ?? context.issuerAt?.(lease.issuer, lease.downstream);
}

export function issuerGone({ connector, issuer, tag }: Lease): RemitError {
  return new RemitError('ERR_CREDENTIAL_REVOKE', `connector ${connector} has no ${issuer} issuer any more`, {
    where: connector,
    hint: `Put its credential section back until its leases have ended, or remove ${tag} by hand.`,
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
