import type { Clock } from '../../seams/clock.ts';
import { type AccountClaims, isOver, missingFrom, readAccount, signRevoked } from './nats-account.ts';
import type { NatsAdmin } from './nats-admin.ts';
import { readTrusted } from './nats-trust.ts';
import type { Nkey } from './nkey.ts';
import { createRounds } from './rounds.ts';

/** Enters users into their account's list of revoked ones: the one thing at NATS that gateways and people write together. */
export interface NatsRevoker {
  /** @param end of the last JWT of that user, seconds since the epoch. @returns once every server has it, and it was read back */
  revoke(user: string, end: number, signal: AbortSignal): Promise<void>;
  /** Something else was pushed: where it lacks what was revoked here, that is entered again. */
  check(jwt: string | undefined): void;
}

export interface NatsRevokerOptions {
  readonly admin: () => NatsAdmin;
  readonly account: string;
  /** Public key of the operator's identity. */
  readonly operator: string;
  readonly operatorKey: () => Promise<Nkey>;
  readonly clock: Clock;
  /** Longest one round of reading, changing and pushing may take, milliseconds. */
  readonly roundMs: number;
}

/** Pushes of others in between: so often it is read, changed and pushed again. */
const ATTEMPTS = 8;

/**
 * One round at a time: all that wait are entered by one push, then read back. Another gateway that read before that push and writes after it takes
 * the entries out again, and NATS has no compare-and-set for accounts. So what was revoked here is remembered until it needs no entry, is part
 * of each push, and is entered again when a push is heard that lacks it.
 */
export function createNatsRevoker(options: NatsRevokerOptions): NatsRevoker {
  const { admin, account, operator, operatorKey, clock, roundMs } = options;
  const remembered = new Map<string, number>();
  /** Those of them that stood in a push which every server confirmed. What one server has when it is read, the others may have missed. */
  const confirmed = new Set<string>();
  const join = createRounds(() => enter(AbortSignal.timeout(roundMs)));

  async function enter(signal: AbortSignal): Promise<void> {
    const key = await operatorKey();
    for (let attempt = 0; attempt < ATTEMPTS; attempt++) {
      const claims = await readTrusted(admin(), { account, operator, own: key.publicKey }, signal);
      if (lacking(claims).length === 0 && [...remembered.keys()].every((user) => confirmed.has(user))) return;
      const entered = [...remembered.keys()];
      const signed = signRevoked(claims, remembered, key, clock());
      confirmed.clear();
      await admin().push(await signed, signal);
      for (const user of entered) confirmed.add(user);
    }
    throw new Error('others change the account at the same time, again and again');
  }

  function lacking(claims: AccountClaims): string[] {
    for (const [user, end] of remembered) if (isOver(end, clock())) remembered.delete(user);
    return missingFrom(claims, remembered);
  }

  function isComplete(jwt: string): boolean {
    try {
      return lacking(readAccount(jwt, account)).length === 0;
    } catch {
      // Another account's, or nothing that a server would take.
      return true;
    }
  }

  return {
    async revoke(user, end, signal) {
      if (isOver(end, clock())) return;
      remembered.set(user, end);
      signal.throwIfAborted();
      await join();
    },
    check(jwt) {
      if (remembered.size === 0 || (jwt !== undefined && isComplete(jwt))) return;
      // Where it fails, the next revoke enters them, and their JWTs end.
      join().catch(() => {});
    },
  };
}
