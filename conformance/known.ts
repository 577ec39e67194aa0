import { z } from 'zod';
import type { Miss, Score } from './compare.ts';

/**
 * Checks that no gateway can pass in some pairing, because the two eras differ there, each with its reason. A list that is not argued
 * would be a list of bugs.
 */
export const knownSchema = z.array(
  z.strictObject({
    scenario: z.string().min(1),
    checks: z.array(z.string().min(1)).min(1),
    pairings: z.array(z.string().min(1)).min(1),
    reason: z.string().min(40, 'say why it cannot be bridged'),
    reference: z.url({ protocol: /^https$/ }).describe('The page of the specification that it follows from.'),
  }),
);

export type Known = z.output<typeof knownSchema>;

/** @throws when an entry lacks a reason or a reference, or a check is listed twice for a pairing */
export function parseKnown(text: string): Known {
  const known = knownSchema.parse(JSON.parse(text));
  const seen = new Set<string>();
  for (const { scenario, checks, pairings } of known) {
    for (const check of checks) {
      for (const pairing of pairings) {
        const key = `${pairing} ${scenario} ${check}`;
        if (seen.has(key)) throw new Error(`cannot-bridge.json lists ${key} twice`);
        seen.add(key);
      }
    }
  }
  return known;
}

export interface Verdict extends Score {
  readonly pairing: string;
  /** Misses that nothing excuses. */
  readonly unexpected: readonly Miss[];
  readonly excused: readonly Miss[];
  /** What is listed and was not missed: the entry is to be removed. */
  readonly stale: readonly { readonly scenario: string; readonly check: string }[];
}

/** Sorts the misses of a pairing into listed and not listed, and finds entries that are no longer true. */
export function judge(pairing: string, score: Score, known: Known): Verdict {
  const listed = known
    .filter(({ pairings }) => pairings.includes(pairing))
    .flatMap(({ scenario, checks }) => checks.map((check) => ({ scenario, check })));
  const isSame = (a: { scenario: string; check: string }, b: { scenario: string; check: string }): boolean =>
    a.scenario === b.scenario && a.check === b.check;
  return {
    ...score,
    pairing,
    unexpected: score.misses.filter((miss) => !listed.some((entry) => isSame(entry, miss))),
    excused: score.misses.filter((miss) => listed.some((entry) => isSame(entry, miss))),
    stale: listed.filter((entry) => !score.misses.some((miss) => isSame(miss, entry))),
  };
}
