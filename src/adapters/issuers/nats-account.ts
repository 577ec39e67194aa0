import type { Account, ClaimsData } from '@nats-io/jwt';
import { readJwt, signJwt } from './nats-jwt.ts';
import type { Nkey } from './nkey.ts';

/** An account as its operator vouches for it: whose users it takes, and which of them are revoked. */
export type AccountClaims = ClaimsData<Account>;

/** Users by their public key, and when the last JWT of each ends (seconds since the epoch). */
export type RevokedUsers = ReadonlyMap<string, number>;

/** How long an entry stays behind the end of what it revokes, for clocks that differ. Seconds. */
const KEPT_FOR = 60;
/**
 * Added to the time of an entry of ours. An entry revokes whatever was issued up to its time, so a time that lies centuries ahead revokes all the
 * same, and tells ours from what people enter (`nsc revocations add-user`), with the moment from which it is not needed.
 */
const OURS = 10_000_000_000;

/** @throws where it is not that account's. Whose signature it bears is for the caller to judge. */
export function readAccount(jwt: string, account: string): AccountClaims {
  const claims = readJwt<Account>(jwt);
  if (claims.sub !== account) throw new Error(`the server answered with the claims of another account, ${claims.sub}`);
  return claims;
}

/** Whether users that `key` signs are taken by the account, with the permissions that they bring. */
export function takesUsersOf(claims: AccountClaims, key: string): boolean {
  if (claims.sub === key) return true;
  // An object is a scoped key: its users may bring no permissions of their own.
  return (claims.nats.signing_keys ?? []).some((known) => (known as unknown) === key);
}

/** Which of `users` the account does not name as revoked. */
export function missingFrom(claims: AccountClaims, users: RevokedUsers): string[] {
  const revoked = claims.nats.revocations ?? {};
  return [...users].filter(([user, end]) => (revoked[user] ?? 0) < end).map(([user]) => user);
}

/** The account with `users` revoked as well, and without entries of ours that nothing needs any more; signed anew. */
export async function signRevoked(
  claims: AccountClaims,
  users: RevokedUsers,
  operator: Nkey,
  now: number,
): Promise<string> {
  const kept = Object.entries(claims.nats.revocations ?? {}).filter(([, time]) => !isOver(time - OURS, now));
  const added = [...users].map(([user, end]) => [user, OURS + end] as const);
  const revocations = Object.fromEntries([...kept, ...added]);
  return signJwt({ ...claims, nats: { ...claims.nats, revocations } }, operator);
}

/** @param end seconds; below zero for an entry that is none of ours */
export function isOver(end: number, now: number): boolean {
  return end > 0 && end + KEPT_FOR < now / 1000;
}
