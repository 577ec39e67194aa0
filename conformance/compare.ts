import type { Check, Results } from './results.ts';

/** A check that a run owes and did not pass. */
export interface Miss {
  readonly scenario: string;
  readonly check: string;
  readonly reason: string;
}

export interface Score {
  /** Checks that the reference passes, and of those, how many this run passes. */
  readonly scored: number;
  readonly passed: number;
  readonly misses: readonly Miss[];
}

/**
 * Measures a run against a reference run of the same set. What the reference passes is owed: a check that is a warning, an information
 * or absent instead is as much a miss as a failure, so that nothing passes by not being asked. What only the run fails is a miss, too.
 * @param scenarios the scenarios that count
 */
export function compare(reference: Results, run: Results, scenarios: readonly string[]): Score {
  let scored = 0;
  let passed = 0;
  const misses: Miss[] = [];
  for (const scenario of scenarios) {
    const owed = group(reference.get(scenario) ?? []);
    const had = group(run.get(scenario) ?? []);
    for (const [check, expected] of owed) {
      const wanted = expected.filter(isPassed).length;
      if (wanted === 0) continue;
      const got = had.get(check) ?? [];
      const kept = Math.min(wanted, got.filter(isPassed).length);
      scored += wanted;
      passed += kept;
      if (kept < wanted || got.some(isFailed)) misses.push({ scenario, check, reason: reasonOf(got) });
    }
    for (const [check, got] of had) {
      const isOwed = owed.get(check)?.some(isPassed) === true;
      const failsAlready = owed.get(check)?.some(isFailed) === true;
      if (!isOwed && !failsAlready && got.some(isFailed)) misses.push({ scenario, check, reason: reasonOf(got) });
    }
  }
  return { scored, passed, misses };
}

/** Scores a run that has no reference: everything that the suite asked is owed. */
export function scoreAlone(run: Results, scenarios: readonly string[]): Score {
  let scored = 0;
  let passed = 0;
  const misses: Miss[] = [];
  for (const scenario of scenarios) {
    const asked = [...group(run.get(scenario) ?? [])].filter(([, checks]) => checks.some(isScored));
    if (asked.length === 0) {
      scored += 1;
      misses.push({ scenario, check: '(none)', reason: 'the suite made no check' });
    }
    for (const [check, checks] of asked) {
      const counted = checks.filter(isScored);
      scored += counted.length;
      passed += counted.filter(isPassed).length;
      if (!counted.every(isPassed)) misses.push({ scenario, check, reason: reasonOf(checks) });
    }
  }
  return { scored, passed, misses };
}

const isPassed = ({ status }: Check): boolean => status === 'SUCCESS';
const isFailed = ({ status }: Check): boolean => status === 'FAILURE' || status === 'WARNING';
const isScored = (check: Check): boolean => isPassed(check) || isFailed(check);

function group(checks: readonly Check[]): Map<string, Check[]> {
  const groups = new Map<string, Check[]>();
  for (const check of checks) {
    const same = groups.get(check.id);
    if (same === undefined) groups.set(check.id, [check]);
    else same.push(check);
  }
  return groups;
}

function reasonOf(checks: readonly Check[]): string {
  const worst = checks.find(isFailed) ?? checks.find((check) => !isPassed(check));
  return worst === undefined ? 'not reached' : `${worst.status}: ${worst.message}`;
}
