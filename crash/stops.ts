import { callAdmin } from '../src/cli/admin-client.ts';
import type { RevocationAction, RevocationSubject } from '../src/domain/revocation.ts';

/** Something that an administrator has stopped in a home. */
export interface Stop {
  readonly action: Exclude<RevocationAction, 'resume'>;
  readonly subject: RevocationSubject;
  /** Whether the gateway said so before it was killed: then it holds in every later one, until it is lifted. */
  isAcknowledged: boolean;
}

/** What is stopped in a home and not lifted yet; one thing at a time, so that what must hold is never in doubt. */
export class Stops {
  #now: Stop | undefined;

  get now(): Stop | undefined {
    return this.#now;
  }

  /** @returns false, and stops nothing, while something else is stopped. @throws when the gateway was killed meanwhile */
  async stop(socket: string, action: Stop['action'], subject: RevocationSubject): Promise<boolean> {
    if (this.#now !== undefined) return false;
    const stop = { action, subject, isAcknowledged: false };
    this.#now = stop;
    await order(socket, action, subject);
    stop.isAcknowledged = true;
    return true;
  }

  /** @throws when the gateway was killed meanwhile: it may still be stopped */
  async lift(socket: string): Promise<void> {
    const stop = this.#now;
    if (stop === undefined) return;
    // From here on it may hold, or not.
    stop.isAcknowledged = false;
    await order(socket, 'resume', stop.subject);
    this.#now = undefined;
  }
}

/** Over the administration socket, as `remit kill` and its like do. */
export const order = (socket: string, action: RevocationAction, { kind, id }: RevocationSubject): Promise<unknown> =>
  callAdmin(socket, 'revoke', { action, kind, id, reason: 'the crash harness wants it' });
