import type { Fetch } from '../adapters/authn/remote-key-sets.ts';
import { createGuardedFetch, type GuardedFetch } from '../adapters/upstreams/guarded-fetch.ts';
import { RemitError } from '../domain/errors.ts';

interface Guarded {
  readonly issuer: string;
  readonly jwksUri?: string | undefined;
  readonly allowPrivateNetwork: boolean;
}

/**
 * For keys of who is configured: what a provider says of itself, and a name that leads elsewhere by now, are no way into the inside (attacks A30 and
 * A36). Loopback needs an address in the configuration that says so. Connections end by themselves, a second after they were last used.
 */
export function guardedFetches(sources: readonly Guarded[]): Fetch {
  const byIssuer = new Map(
    sources.map(({ issuer, jwksUri, allowPrivateNetwork }) => [
      issuer,
      createGuardedFetch({ hostname: new URL(jwksUri ?? issuer).hostname, allowPrivateNetwork }),
    ]),
  );
  return async (address, init, { issuer }) => {
    const guarded = byIssuer.get(issuer);
    if (guarded === undefined) throw new RemitError('ERR_INTERNAL', 'keys are fetched of those who are configured');
    return guarded.fetch(address, init);
  };
}

/** The same for one address. @param address may be a secret: it is in no message */
export function guardedFetch(address: string, allowPrivateNetwork: boolean): GuardedFetch['fetch'] {
  const hostname = URL.canParse(address) ? new URL(address).hostname : '';
  return createGuardedFetch({ hostname, allowPrivateNetwork }).fetch;
}
