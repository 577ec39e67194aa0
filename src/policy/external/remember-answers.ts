import type { ExternalAnswer } from '../../seams/external-policy.ts';

/** Answers of one point by the whole of their questions, each for a time. */
export interface Answers {
  get(key: string, now: number): readonly ExternalAnswer[] | undefined;
  put(key: string, answers: readonly ExternalAnswer[], from: number, until: number): void;
}

const MOST = 1_000;

/** All are dropped when it is full: what was asked for lately is asked once more. */
export function createAnswers(): Answers {
  const kept = new Map<string, { answers: readonly ExternalAnswer[]; from: number; until: number }>();
  return {
    get(key, now) {
      const known = kept.get(key);
      // A clock that went back makes nothing last longer, and one that says nothing keeps nothing.
      if (known !== undefined && now >= known.from && now < known.until) return known.answers;
      kept.delete(key);
      return undefined;
    },
    put(key, answers, from, until) {
      if (kept.size >= MOST) kept.clear();
      kept.set(key, { answers, from, until });
    },
  };
}
