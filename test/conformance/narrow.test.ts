import { describe, expect, it } from 'vitest';
import { narrow, type Suite } from '../../conformance/suite.ts';

const whole: Suite = {
  node: 'node',
  script: 'suite.js',
  output: 'results',
  requirements: async () => ({ server: ['a', 'b'], client: ['c'], unscored: ['d'] }),
};

describe('one scenario of the suite', () => {
  it('is all that counts, and the rest is owed by nobody', async () => {
    const one = narrow(whole, 'b');
    expect(one.scenario).toBe('b');
    expect(await one.requirements('2026-07-28')).toEqual({ server: ['b'], client: ['c'], unscored: [] });
  });

  it('must be one of the revision, so that a misspelt one is no run that passes', async () => {
    await expect(narrow(whole, 'x').requirements('2026-07-28')).rejects.toThrow('2026-07-28 has no scenario x');
  });
});
