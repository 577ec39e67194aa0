import { hash } from 'node:crypto';
import type { PolicyAnswer } from '../../seams/policy-engine.ts';

/** Answers by what they depend on; the oldest leave when it is full. */
export interface AnswerCache {
  get(key: string): PolicyAnswer | undefined;
  put(key: string, answer: PolicyAnswer): void;
  clear(): void;
}

/**
 * Two generations, and the older one is dropped whole: taking single entries out of a large map costs more than asking anew, since a map
 * walks over what was taken from its front.
 * @param limit most answers kept
 */
export function createAnswerCache(limit: number): AnswerCache {
  const most = Math.max(1, Math.floor(limit / 2));
  let young = new Map<string, PolicyAnswer>();
  let old = new Map<string, PolicyAnswer>();

  function put(key: string, answer: PolicyAnswer): void {
    if (young.size >= most && !young.has(key)) {
      old = young;
      young = new Map();
    }
    young.set(key, answer);
  }

  return {
    get(key) {
      const answer = young.get(key);
      if (answer !== undefined) return answer;
      const kept = old.get(key);
      // What is asked for again stays.
      if (kept !== undefined) put(key, kept);
      return kept;
    },
    put,
    clear() {
      young = new Map();
      old = new Map();
    },
  };
}

const LONG_KEY = 300;

/** The key itself while it is short, which is cheapest, and its digest when an argument makes it long. */
export function shortenKey(key: string): string {
  return key.length <= LONG_KEY ? key : hash('sha256', key, 'base64');
}
