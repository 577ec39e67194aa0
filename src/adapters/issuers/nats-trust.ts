import type { Operator } from '@nats-io/jwt';
import { type AccountClaims, readAccount } from './nats-account.ts';
import type { NatsAdmin } from './nats-admin.ts';
import { readJwt } from './nats-jwt.ts';

export interface NatsTrust {
  /** Public keys of the operator's identity (`O…`) and of the account (`A…`), as configured. */
  readonly operator: string;
  readonly account: string;
  /** Public key of what the gateway signs accounts with. */
  readonly own: string;
}

/**
 * The account as a server has it, if the operator's keys have signed it: a server that made one up would otherwise have it signed by ours. And if
 * ours is among them: servers take an account from the system account whoever signed it (nats-server 2.9 does), and do not heed it then.
 */
export async function readTrusted(admin: NatsAdmin, trust: NatsTrust, signal: AbortSignal): Promise<AccountClaims> {
  const { operator, account, own } = trust;
  const claims = readAccount(await admin.lookUp(signal), account);
  const isTrusted = (keys: readonly string[]) => keys.includes(own) && keys.includes(claims.iss);
  let keys = keysOf(await admin.lookUpOperators(signal), operator);
  // Keys may have been added since.
  if (!isTrusted(keys)) keys = keysOf(await admin.lookUpOperators(signal, 'anew'), operator);
  if (!keys.includes(own)) throw new Error(`operatorKey is ${own}, which is no key of the operator ${operator}`);
  if (!keys.includes(claims.iss))
    throw new Error(`the account is signed by ${claims.iss}, no key of the operator ${operator}`);
  return claims;
}

/** The operator's identity and its signing keys, as it has signed them itself. */
function keysOf(jwts: readonly string[], operator: string): string[] {
  const claims = jwts.map((jwt) => readJwt<Operator>(jwt)).find(({ sub, iss }) => sub === operator && iss === operator);
  if (claims === undefined) throw new Error(`the server does not trust the operator ${operator}`);
  const signing = (claims.nats.signing_keys ?? []) as unknown as readonly string[];
  return [operator, ...signing];
}
