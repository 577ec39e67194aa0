import { expect, it } from 'vitest';
import { createGrowingPause } from '../../src/compose/policies/growing-pause.ts';

function skipped(pause: ReturnType<typeof createGrowingPause>): number {
  let looks = 0;
  while (looks < 1_000 && pause.skips()) looks += 1;
  return looks;
}

it('leaves out twice as many looks after each failure, sixty at most, and none after a success', () => {
  const pause = createGrowingPause();
  expect(skipped(pause)).toBe(0);
  const after = Array.from({ length: 8 }, () => {
    pause.lengthen();
    return skipped(pause);
  });
  expect(after).toEqual([2, 4, 8, 16, 32, 60, 60, 60]);
  pause.lengthen();
  pause.end();
  expect(skipped(pause)).toBe(0);
  pause.lengthen();
  expect(skipped(pause)).toBe(2);
});
