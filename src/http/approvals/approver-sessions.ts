import { hash } from 'node:crypto';
import type { Approver } from '../../domain/approval.ts';
import type { RandomBytes } from '../../domain/ids.ts';
import type { Clock } from '../../seams/clock.ts';

/** A browser in which an approver has signed in. */
export interface ApproverSession {
  readonly approver: Approver;
  /** What every form of this session carries, and no other page can know. */
  readonly csrf: string;
}

/** One-time codes and browser sessions, in memory: a restart signs everybody out. Only digests are kept. */
export interface ApproverSessions {
  /** A code that signs `approver` in once, within ten minutes. */
  newCode(approver: Approver): string;
  /** The approver of a code, which is used up by this. */
  takeCode(code: string): Approver | undefined;
  /** @returns the value of the cookie */
  begin(approver: Approver): string;
  find(cookie: string | undefined): ApproverSession | undefined;
  end(cookie: string | undefined): void;
}

const CODE_MS = 600_000;
/** Whoever decides for others signs in again after a while. */
const SESSION_MS = 3_600_000;
const MOST = 256;

interface Kept<T> {
  readonly value: T;
  readonly until: number;
}

export function createApproverSessions({ clock, random }: { clock: Clock; random: RandomBytes }): ApproverSessions {
  const codes = new Map<string, Kept<Approver>>();
  const sessions = new Map<string, Kept<ApproverSession>>();
  const newName = (): string => Buffer.from(random(32)).toString('base64url');
  const digest = (name: string): string => hash('sha256', name, 'base64url');

  /** The oldest leave when there are too many. */
  function keep<T>(kept: Map<string, Kept<T>>, value: T, ms: number): string {
    for (const [key, { until }] of kept) if (until <= clock() || kept.size >= MOST) kept.delete(key);
    const name = newName();
    kept.set(digest(name), { value, until: clock() + ms });
    return name;
  }

  function find<T>(kept: Map<string, Kept<T>>, name: string | undefined): T | undefined {
    if (name === undefined || name.length > 64) return undefined;
    const found = kept.get(digest(name));
    return found !== undefined && clock() < found.until ? found.value : undefined;
  }

  return {
    newCode: (approver) => keep(codes, approver, CODE_MS),
    takeCode(code) {
      const approver = find(codes, code);
      codes.delete(digest(code));
      return approver;
    },
    begin: (approver) => keep(sessions, { approver, csrf: newName() }, SESSION_MS),
    find: (cookie) => find(sessions, cookie),
    end(cookie) {
      if (cookie !== undefined) sessions.delete(digest(cookie));
    },
  };
}
