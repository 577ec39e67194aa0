import { expect, it } from 'vitest';
import type { Lease } from '../../src/domain/lease.ts';
import { describeEnd, viewLease } from '../../src/leases/lease-view.ts';
import { NOW, sampleLease } from '../store/samples.ts';

const shown = (change: Partial<Lease>, counts?: ReadonlyMap<Lease['id'], number>) =>
  viewLease(sampleLease({ intendedAt: NOW, ...change }), NOW + 90_500, counts);

it.each<[string, Partial<Lease>, string, RegExp]>([
  ['intended', { state: 'intended' }, 'intended', /^expires 20/],
  ['active', { state: 'active' }, 'active', /^expires 20/],
  ['revoking', { state: 'revoking', endReason: 'expired' }, 'revoking', /^being revoked \(expired\)$/],
  [
    'failed',
    { state: 'revoking', failingSince: NOW, lastError: 'ERR_CREDENTIAL_REVOKE: away' },
    'failed',
    /^retrying since 20.+Z: ERR_CREDENTIAL_REVOKE: away$/,
  ],
  ['lapsing', { state: 'lapsing', nativeExpiresAt: NOW + 5 }, 'lapsing', /^good until 20/],
  ['a static one', { state: 'lapsing', nativeExpiresAt: undefined }, 'lapsing', /exception/],
  ['ended', { state: 'ended', endedAt: NOW + 1_000, endReason: 'completed' }, 'ended', /^ended 20.+Z \(completed\)$/],
])('L7 a lease that is %s is shown as that, and with its end', (_, change, state, end) => {
  const view = shown(change);
  expect(view.state).toBe(state);
  expect(describeEnd(view)).toMatch(end);
});

it('shows its age, and says where the count of calls is from', () => {
  const row = sampleLease();
  expect(shown({ state: 'active', uses: 2 })).toMatchObject({ ageSeconds: 90, uses: 2, usesAsOf: 'row' });
  expect(shown({ state: 'active', uses: 2 }, new Map([[row.id, 7]]))).toMatchObject({ uses: 7, usesAsOf: 'gateway' });
  expect(shown({ state: 'active', uses: 2 }, new Map())).toMatchObject({ uses: 2, usesAsOf: 'row' });
  expect(shown({ state: 'ended', endedAt: NOW + 3_000 }).ageSeconds).toBe(3);
});
