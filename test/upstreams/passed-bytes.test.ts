import { expect, test } from 'vitest';
import { notePassed } from '../../src/adapters/upstreams/passed-bytes.ts';

const PIECE = 64 * 1024;
const PIECES = 1_600;

test('I3 pieces that have passed do not pile up until V8 thinks of them', async () => {
  const before = process.memoryUsage().arrayBuffers;
  let most = 0;
  for (let index = 0; index < PIECES; index += 1) {
    Buffer.allocUnsafeSlow(PIECE).fill(index);
    notePassed(PIECE);
    if (index % 16 === 0) {
      await new Promise((resolve) => setImmediate(resolve));
      most = Math.max(most, process.memoryUsage().arrayBuffers - before);
    }
  }
  // 100 MiB have passed; some 32 would be there, were they not collected.
  expect(most).toBeLessThan(16 * 1024 * 1024);
});
