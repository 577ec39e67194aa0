import { describe, expect, it } from 'vitest';
import { connectorId } from '../../src/domain/ids.ts';
import { issuerFor } from '../../src/leases/call-revoke.ts';
import type { Issuer } from '../../src/seams/issuer.ts';
import { createFakeIssuer } from '../support/fake-issuer.ts';

const SHOP = connectorId('shop');
const LEASE = { connector: SHOP, issuer: 'postgres', downstream: 'db.one', tag: 'remit_x' };

const issuer = (kind: string, downstream: string): Issuer => ({ ...createFakeIssuer(), kind, downstream });

function found(own: Issuer | undefined, others: readonly Issuer[], lease = LEASE): Issuer | undefined {
  return issuerFor(
    {
      issuerOf: () => own && { issuer: own, mode: 'task', ttlSeconds: 60, templates: { environment: {}, headers: {} } },
      issuerAt: (kind, downstream) => others.find((one) => one.kind === kind && one.downstream === downstream),
    },
    lease,
  );
}

describe('who revokes a lease', () => {
  it('is its connector’s issuer, also of a row from before downstreams were written down', () => {
    const own = issuer('postgres', 'db.one');
    expect(found(own, [])).toBe(own);
    expect(found(own, [], { ...LEASE, downstream: '' })).toBe(own);
  });

  it('L7 is never one for another downstream, which would know nothing of it and call it gone', () => {
    const moved = issuer('postgres', 'db.two');
    const still = issuer('postgres', 'db.one');
    expect(found(moved, [moved, still])).toBe(still);
    expect(found(moved, [moved])).toBeUndefined();
    expect(found(issuer('redis', 'db.one'), [])).toBeUndefined();
    expect(found(undefined, [])).toBeUndefined();
  });
});
