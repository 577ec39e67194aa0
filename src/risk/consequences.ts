import { messageOf } from '../domain/errors.ts';
import { isAtLeast, type RiskLevel, type RiskSubject, type RiskSubjectKind, riskKey } from '../domain/risk.ts';
import type { Log } from '../seams/clock.ts';

/** From which level on what follows; undefined: it never does. */
export interface RiskRule {
  readonly hold?: RiskLevel | undefined;
  readonly suspend?: RiskLevel | undefined;
  readonly revoke?: RiskLevel | undefined;
  /** Whether calls of class read are held as well. */
  readonly holdReads: boolean;
}

export type RiskRules = Readonly<Record<RiskSubjectKind, RiskRule>>;

export interface ConsequenceParts {
  readonly rules: RiskRules;
  /** Orders it by the revocation log: resolves when that is durable. Of a user, for each of the user's tasks. */
  readonly order: (action: 'suspend' | 'revoke', subject: RiskSubject, reason: string) => Promise<unknown>;
  /** How the revocation log holds it back already. */
  readonly heldBy: (subject: RiskSubject) => 'suspend' | 'revoke' | undefined;
  readonly log: Log;
}

/** What follows from a level, apart from what policies make of it. */
export interface Consequences {
  /**
   * A signal has left a subject at this level. What it calls for is ordered once `recorded`; until it is in the revocation log,
   * `bars` says so.
   */
  follow(subject: RiskSubject, level: RiskLevel, recorded: Promise<unknown>, reason: string): void;
  /** What a level calls for. */
  actionAt(kind: RiskSubjectKind, level: RiskLevel): 'suspend' | 'revoke' | undefined;
  holds(kind: RiskSubjectKind, level: RiskLevel, isRead: boolean): boolean;
  /** Whether an order about it is still outstanding: nothing of it is served. One that failed is tried again. */
  bars(subject: RiskSubject): boolean;
  /** Whether nothing is outstanding. */
  readonly isIdle: boolean;
  forget(subject: RiskSubject): void;
}

interface Outstanding {
  readonly subject: RiskSubject;
  readonly action: 'suspend' | 'revoke';
  readonly reason: string;
  isUnderWay: boolean;
}

export function createConsequences({ rules, order, heldBy, log }: ConsequenceParts): Consequences {
  const outstanding = new Map<string, Outstanding>();

  function begin(key: string, one: Outstanding, recorded: Promise<unknown>): void {
    one.isUnderWay = true;
    recorded
      .then(() => order(one.action, one.subject, one.reason))
      .then(
        () => {
          if (outstanding.get(key) === one) outstanding.delete(key);
        },
        (error: unknown) => {
          one.isUnderWay = false;
          log.error(
            { subject: key, action: one.action, error: messageOf(error) },
            'what a risk calls for could not be ordered: its calls are denied, and it is tried again',
          );
        },
      );
  }

  function actionAt(kind: RiskSubjectKind, level: RiskLevel): 'suspend' | 'revoke' | undefined {
    const { suspend, revoke } = rules[kind];
    if (revoke !== undefined && isAtLeast(level, revoke)) return 'revoke';
    return suspend !== undefined && isAtLeast(level, suspend) ? 'suspend' : undefined;
  }

  return {
    actionAt,
    follow(subject, level, recorded, reason) {
      const action = actionAt(subject.kind, level);
      const key = riskKey(subject);
      if (action === undefined) {
        recorded.catch(() => undefined);
        return;
      }
      // What is suspended can still be revoked; an order of the same is under way, or will be tried again.
      const standing = outstanding.get(key)?.action ?? heldBy(subject);
      if (standing === action || standing === 'revoke') {
        recorded.catch(() => undefined);
        return;
      }
      const one = { subject, action, reason, isUnderWay: false };
      outstanding.set(key, one);
      begin(key, one, recorded);
    },
    holds(kind, level, isRead) {
      const { hold, holdReads } = rules[kind];
      return (holdReads || !isRead) && hold !== undefined && isAtLeast(level, hold);
    },
    bars(subject) {
      if (outstanding.size === 0) return false;
      const key = riskKey(subject);
      const one = outstanding.get(key);
      if (one === undefined) return false;
      // Without its record, where that was what failed: what stops something waits for no disk, and the row itself says who and why.
      if (!one.isUnderWay) begin(key, one, Promise.resolve());
      return true;
    },
    get isIdle() {
      return outstanding.size === 0;
    },
    forget: (subject) => void outstanding.delete(riskKey(subject)),
  };
}
