import { messageOf } from '../domain/errors.ts';
import type { TenantId } from '../domain/ids.ts';
import { isAtLeast, type RiskSubject, readRiskKey, riskKey, type Score } from '../domain/risk.ts';
import type { Clock, Log } from '../seams/clock.ts';
import type { RiskChange, RiskScoreRepository, RiskScoreRow } from '../seams/shared-store.ts';
import type { Scores } from './scores.ts';

/** What all nodes of a store know of connectors, agents and users. A task is one node's, and so is its risk. */
export interface SharedScores {
  /**
   * It counts here already, and on the others once the store has it, in a moment.
   * @param cause what every node sees for itself: it counts once
   */
  tell(subject: RiskSubject, points: number, cause?: string): void;
  /** What this node's trail says of before: the store is to say no less, unless somebody has cleared it since. */
  restore(subject: RiskSubject, score: Score): void;
  /** Resolves when the store has what was told, or cannot be asked; undefined where it has. */
  told(): Promise<void> | undefined;
  /** Tells what is to be told, and reads what others have told. @throws `ERR_STORE_*`: nothing is lost, and the next time says it */
  exchange(): Promise<void>;
  /** Durable when it resolves; the others follow. @throws `ERR_STORE_*` */
  clear(subject: RiskSubject): Promise<void>;
}

export interface SharedScoreParts {
  readonly tenant: TenantId;
  readonly repository: RiskScoreRepository;
  readonly scores: Scores;
  readonly halfLifeMs: number;
  readonly clock: Clock;
  /** Never set back nor forward. */
  readonly monotonic: Clock;
  readonly log: Log;
  /** What the score of a subject calls for is to follow, where it has not. */
  readonly follow: (subject: RiskSubject) => void;
  /** A person has looked, at another node. */
  readonly onCleared: (subject: RiskSubject) => void;
}

/** Whoever's signal it was orders what it calls for; the others after this time, where that one has not. Milliseconds. */
const OTHERS_AFTER_MS = 1_000;

const isShared = ({ kind }: RiskSubject): boolean => kind !== 'task';

export function createSharedScores(parts: SharedScoreParts): SharedScores {
  const { tenant, repository, scores, halfLifeMs, clock, monotonic, log } = parts;
  const decay = { halfLifeMs, most: scores.most };
  let pending: RiskChange[] = [];
  let position = 0;
  let isBegun = false;
  let isTold = true;
  let isAgain = false;
  let running: Promise<void> | undefined;
  /** Moved by others, and since when. */
  const moved = new Map<RiskSubject, number>();

  /** The store's word, and what it has not been told yet. @returns the subject, where its level is higher than before */
  function apply({ subject: key, score, at }: RiskScoreRow): RiskSubject | undefined {
    const subject = readRiskKey(key);
    if (subject === undefined) return undefined;
    const before = scores.level(subject, clock());
    const own = pending.reduce((sum, one) => (one.subject === key && 'points' in one ? sum + one.points : sum), 0);
    if (score + own > 0) {
      scores.set(subject, { score: Math.min(score + own, scores.most), at }, clock());
      return scores.level(subject, clock()) !== before && isAtLeast(scores.level(subject, clock()), before)
        ? subject
        : undefined;
    }
    parts.onCleared(subject);
    return undefined;
  }

  async function tellAll(): Promise<void> {
    if (pending.length === 0) return;
    const telling = pending;
    pending = [];
    let after: RiskScoreRow[];
    try {
      after = await repository.add(tenant, telling, decay);
    } catch (error) {
      // Perhaps the store has it, and it counts twice then: better than not at all.
      pending = [...telling, ...pending];
      throw error;
    }
    isTold = pending.length === 0;
    // What was only brought back has had its consequence.
    const signalled = new Set(telling.flatMap((one) => ('points' in one ? [one.subject] : [])));
    for (const row of after) {
      const higher = apply(row);
      if (higher !== undefined && signalled.has(row.subject)) parts.follow(higher);
    }
  }

  async function read(): Promise<void> {
    const { head, rows } = await repository.read(tenant, position);
    if (head < position) {
      log.warn({ position, head }, 'the store has forgotten scores of risk: it is told what is known here');
      position = 0;
      const now = clock();
      for (const { subject, score } of scores.list(now))
        if (isShared(subject)) pending.push({ subject: riskKey(subject), atLeast: { score, at: now } });
      await tellAll();
      return await read();
    }
    for (const row of rows) {
      const higher = apply(row);
      // What was so before this node came has had its consequence, and perhaps a person has taken it back.
      if (higher !== undefined && isBegun) moved.set(higher, monotonic());
    }
    position = head;
    isBegun = true;
  }

  function followOthers(): void {
    for (const [subject, since] of moved) {
      if (monotonic() - since < OTHERS_AFTER_MS) continue;
      moved.delete(subject);
      parts.follow(subject);
    }
  }

  async function run(): Promise<void> {
    do {
      isAgain = false;
      await tellAll();
      await read();
    } while (isAgain);
    followOthers();
  }

  function exchange(): Promise<void> {
    if (running !== undefined) {
      // What is asked for while it runs may be about what it has read over already.
      isAgain = true;
      return running;
    }
    running = run().finally(() => {
      running = undefined;
    });
    return running;
  }

  function note(subject: string, points: number, cause: string | undefined): void {
    const at = pending.findIndex((one) => one.subject === subject && 'points' in one && one.cause === undefined);
    const known = pending[at];
    // One for a subject, however long the store is gone (guarantee I3).
    if (cause === undefined && known !== undefined && 'points' in known)
      pending[at] = { subject, points: known.points + points };
    else pending.push({ subject, points, ...(cause !== undefined && { cause }) });
  }

  return {
    tell(subject, points, cause) {
      if (!isShared(subject)) return;
      isTold = false;
      note(riskKey(subject), points, cause);
      exchange().catch((error: unknown) =>
        log.warn({ error: messageOf(error) }, 'a signal counts here, and could not be told to other nodes yet'),
      );
    },
    restore(subject, score) {
      if (isShared(subject)) pending.push({ subject: riskKey(subject), atLeast: score });
    },
    told: () => (isTold ? undefined : (running ?? exchange()).catch(ignore)),
    exchange,
    async clear(subject) {
      if (!isShared(subject)) return;
      const key = riskKey(subject);
      await exchange();
      await repository.clear(tenant, key);
    },
  };
}

function ignore(): void {}
