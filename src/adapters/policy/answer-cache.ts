import { hash } from 'node:crypto';
import type { PolicyAnswer } from '../../seams/policy-engine.ts';

/** Answers by what they depend on; the oldest leaves when it is full. */
export interface AnswerCache {
  get(key: string): PolicyAnswer | undefined;
  put(key: string, answer: PolicyAnswer): void;
  clear(): void;
}

export function createAnswerCache(limit: number): AnswerCache {
  const answers = new Map<string, PolicyAnswer>();
  return {
    get: (key) => answers.get(key),
    put(key, answer) {
      if (answers.size >= limit) {
        const oldest = answers.keys().next();
        if (!oldest.done) answers.delete(oldest.value);
      }
      answers.set(key, answer);
    },
    clear: () => answers.clear(),
  };
}

const LONG_KEY = 300;

/** The key itself while it is short, which is cheapest, and its digest when an argument makes it long. */
export function shortenKey(key: string): string {
  return key.length <= LONG_KEY ? key : hash('sha256', key, 'base64');
}
