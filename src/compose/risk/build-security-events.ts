import { createSecurityEventVerifier } from '../../adapters/authn/security-event-verifier.ts';
import type { SecurityEvents } from '../../http/security-events.ts';
import type { Risk } from '../../risk/create-risk.ts';
import { createEventTaker } from '../../risk/take-event.ts';
import { guardedFetches } from '../guarded-fetches.ts';
import type { Workspace } from '../workspace.ts';

/** Those who may push events; undefined where there is none. @throws `ERR_SECRET_MISSING` */
export async function buildSecurityEvents(
  { config, vault, system }: Workspace,
  risk: Risk,
  recordRefusal: SecurityEvents['recordRefusal'],
): Promise<SecurityEvents | undefined> {
  const configured = Object.entries(config.risk.transmitters);
  if (configured.length === 0) return undefined;
  const { clock, log } = system;
  const transmitters = await Promise.all(
    configured.map(async ([name, { issuer, audience, jwksUri, authorization }]) => ({
      name,
      issuer,
      audience,
      jwksUri,
      authorization: authorization === undefined ? undefined : await vault.get(authorization),
    })),
  );
  const rights = new Map(
    configured.map(([name, { issuer, events, usersOf, agents, connectors }]) => [
      name,
      { events: new Map(Object.entries(events)), usersOf: usersOf ?? [issuer], agents, connectors },
    ]),
  );
  return {
    verifier: createSecurityEventVerifier({
      transmitters,
      fetch: guardedFetches(configured.map(([, one]) => one)),
      clock,
      log,
    }),
    taker: createEventTaker({ risk, rights }),
    recordRefusal,
  };
}
