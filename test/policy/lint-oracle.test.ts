import fc from 'fast-check';
import { expect, it } from 'vitest';
import { createCedarEngine } from '../../src/adapters/policy/cedar-engine.ts';
import { lintPolicies } from '../../src/adapters/policy/lint/lint-policies.ts';
import type { LoadedPolicy } from '../../src/adapters/policy/load-policies.ts';
import { POOL, policies, request } from './random-policies.ts';
import { sampleTemplate } from './samples.ts';

it('D6 what is found to add nothing can be taken away: no decision of a random request changes', () => {
  const seen = new Map<string, number>();
  // Such a policy denies by its error, which lint does not look at.
  const isSure = ({ text }: LoadedPolicy): boolean => !text.includes('9007199254740991');
  fc.assert(
    fc.property(policies, fc.array(request, { minLength: 10, maxLength: 20 }), (chosen, requests) => {
      const sure = chosen.filter(isSure);
      const loaded = { ...POOL, policies: sure };
      const found = lintPolicies({ ...loaded, templates: [sampleTemplate()], environment: 'prod' }).filter(({ id }) =>
        ['matches-nothing', 'permit-forbidden', 'duplicate', 'shadowed'].includes(id),
      );
      if (found.length === 0) return;
      const whole = createCedarEngine(loaded);
      try {
        for (const { id, policy } of found) {
          seen.set(id, (seen.get(id) ?? 0) + 1);
          const without = createCedarEngine({ ...POOL, policies: sure.filter((one) => one.id !== policy) });
          for (const one of requests.filter(({ context }) => context.environment === 'prod'))
            expect({ id, verdict: without.evaluate(one).verdict }).toEqual({
              id,
              verdict: whole.evaluate(one).verdict,
            });
          without.release();
        }
      } finally {
        whole.release();
      }
    }),
    { numRuns: 400 },
  );
  // Of which a random set seldom has a duplicate.
  expect([...seen.keys()]).toEqual(expect.arrayContaining(['matches-nothing', 'permit-forbidden', 'shadowed']));
});
