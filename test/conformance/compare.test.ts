import { describe, expect, it } from 'vitest';
import { compare, scoreAlone } from '../../conformance/compare.ts';
import type { Check, CheckStatus, Results } from '../../conformance/results.ts';

/** `results({ ping: 'ping ok, schema FAILURE' })` */
function results(scenarios: Readonly<Record<string, string>>): Results {
  return new Map(
    Object.entries(scenarios).map(([scenario, text]) => [
      scenario,
      text === ''
        ? []
        : text.split(', ').map((item): Check => {
            const [id = '', status = 'SUCCESS'] = item.split(' ');
            return { id, status: (status === 'ok' ? 'SUCCESS' : status) as CheckStatus, message: 'why' };
          }),
    ]),
  );
}

describe('a run against its reference', () => {
  const reference = results({ ping: 'ping ok, schema ok', list: 'list ok, list ok, list ok, note INFO' });

  it('passes when it passes all that the reference passes', () => {
    expect(compare(reference, reference, ['ping', 'list'])).toEqual({ scored: 5, passed: 5, misses: [] });
  });

  it.each(['FAILURE', 'WARNING', 'INFO', 'SKIPPED'])('counts a check that is a %s instead as missed', (status) => {
    const run = results({ ping: `ping ${status}, schema ok`, list: 'list ok, list ok, list ok' });
    expect(compare(reference, run, ['ping', 'list'])).toEqual({
      scored: 5,
      passed: 4,
      misses: [{ scenario: 'ping', check: 'ping', reason: `${status}: why` }],
    });
  });

  it('counts a check that was not reached, and a scenario that did not run', () => {
    const run = results({ ping: 'schema ok' });
    expect(compare(reference, run, ['ping', 'list'])).toEqual({
      scored: 5,
      passed: 1,
      misses: [
        { scenario: 'ping', check: 'ping', reason: 'not reached' },
        { scenario: 'list', check: 'list', reason: 'not reached' },
      ],
    });
  });

  it('counts each occurrence of an id, and names the id once', () => {
    const run = results({ list: 'list ok, list FAILURE, list ok' });
    expect(compare(reference, run, ['list'])).toEqual({
      scored: 3,
      passed: 2,
      misses: [{ scenario: 'list', check: 'list', reason: 'FAILURE: why' }],
    });
  });

  it('misses a check that fails once though it passed often enough', () => {
    const run = results({ list: 'list ok, list ok, list ok, list FAILURE' });
    expect(compare(reference, run, ['list']).misses).toEqual([
      { scenario: 'list', check: 'list', reason: 'FAILURE: why' },
    ]);
  });

  it('misses what only the run fails, and does not hold a failure of the reference against the run', () => {
    const flawed = results({ ping: 'ping ok, extra FAILURE' });
    const run = results({ ping: 'ping ok, extra FAILURE, general FAILURE' });
    expect(compare(flawed, run, ['ping'])).toEqual({
      scored: 1,
      passed: 1,
      misses: [{ scenario: 'ping', check: 'general', reason: 'FAILURE: why' }],
    });
  });

  it('looks at no other scenarios', () => {
    expect(compare(reference, results({ ping: 'ping ok, schema ok' }), ['ping']).misses).toEqual([]);
  });
});

describe('a run without a reference', () => {
  it('owes everything that was asked, and nothing that was not', () => {
    expect(scoreAlone(results({ headers: 'a ok, a ok, b WARNING, c SKIPPED, d INFO' }), ['headers'])).toEqual({
      scored: 3,
      passed: 2,
      misses: [{ scenario: 'headers', check: 'b', reason: 'WARNING: why' }],
    });
  });

  it.each([{ headers: 'c SKIPPED' }, { headers: '' }, {}])('does not pass a scenario that made no check: %o', (run) => {
    const score = scoreAlone(results(run), ['headers']);
    expect([score.scored, score.passed]).toEqual([1, 0]);
    expect(score.misses).toHaveLength(1);
  });
});
