import { expect, test } from 'vitest';
import type { Canary } from '../../src/domain/canary.ts';
import type { StoreFixture } from '../suites/store-suite.ts';
import { ACME, NOW, RIVAL } from './samples.ts';

const canary = (id: string, more: Partial<Canary> = {}): Canary => ({
  tenant: ACME,
  id,
  zone: 'hr',
  // The largest tag that there is: more than a signed integer of 32 bits holds.
  print: { length: 32, tag: 0xffffffff, mac: 'mac' },
  createdAt: NOW,
  createdBy: 'dana',
  ...more,
});

export function testCanaries(current: () => StoreFixture): void {
  test('I1 canaries come back as they were, oldest first, those of the tenant alone', async () => {
    const { canaries } = current().store;
    await canaries.insert(canary('can_b', { createdAt: NOW + 1 }));
    await canaries.insert(canary('can_c'));
    await canaries.insert(canary('can_a', { tenant: RIVAL }));
    expect(await canaries.list(ACME)).toEqual([canary('can_c'), canary('can_b', { createdAt: NOW + 1 })]);
    expect(await canaries.remove(ACME, 'can_a')).toBe(false);
    expect(await canaries.remove(ACME, 'can_b')).toBe(true);
    expect(await canaries.remove(ACME, 'can_b')).toBe(false);
    expect(await canaries.list(ACME)).toHaveLength(1);
  });
}
