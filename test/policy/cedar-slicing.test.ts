import fc from 'fast-check';
import { expect, test } from 'vitest';
import { createCedarEngine } from '../../src/adapters/policy/cedar-engine.ts';
import { askWholeCedar, prepareWholeCedar } from './cedar-oracle.ts';
import { POOL, policies, request } from './random-policies.ts';

/** Slicing, reduced scopes, left-out context and entities, reused answers: none may change what Cedar would have said. */

test('D1 D6 a sliced, reduced and reused decision, by Cedar or in process, is what Cedar says of all policies and the whole request', () => {
  const seen = { permit: 0, deny: 0, error: 0 };
  fc.assert(
    fc.property(policies, fc.array(request, { minLength: 6, maxLength: 10 }), (chosen, requests) => {
      const loaded = { ...POOL, policies: chosen };
      const engine = createCedarEngine(loaded);
      const reusing = createCedarEngine({ ...loaded, compile: false });
      const fresh = createCedarEngine({ ...loaded, reuse: false, compile: false });
      try {
        prepareWholeCedar(loaded);
        for (const one of [...requests, ...requests]) {
          const whole = askWholeCedar(loaded, one);
          seen[whole.hasError ? 'error' : whole.verdict] += 1;
          const answer = engine.evaluate(one);
          expect(answer).toEqual(fresh.evaluate(one));
          expect(answer).toEqual(reusing.evaluate(one));
          expect(answer.verdict).toBe(whole.verdict);
          if (!whole.hasError) expect([...answer.policies].sort()).toEqual(whole.policies);
        }
      } finally {
        engine.release();
        reusing.release();
        fresh.release();
      }
    }),
    { numRuns: 400 },
  );
  // Each way must have been tried, or the property says little.
  for (const count of Object.values(seen)) expect(count).toBeGreaterThan(50);
}, 120_000);
