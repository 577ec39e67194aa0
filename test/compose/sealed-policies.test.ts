import { randomBytes } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import { createSealedPolicies, digestOf, type SealedPolicies } from '../../src/compose/policies/sealed-policies.ts';
import { tenantId } from '../../src/domain/ids.ts';

const POLICY = { name: 'all.cedar', path: 'all.cedar', text: '@id("a")\npermit (principal, action, resource);\n' };
const CASES = { name: 'cases.yaml', path: 'cases.yaml', text: 'cases: []\n' };
const GIVEN = { texts: [POLICY, CASES], by: 'dana' };
const DIGEST = digestOf(GIVEN.texts);

const of = (node: string, tenant = 'acme', stateKey = Buffer.alloc(32, 7)): SealedPolicies =>
  createSealedPolicies({ tenant: tenantId(tenant), stateKey, clock: () => 1, random: randomBytes }, node);

describe('policies as the store has them', () => {
  it('come back at another node, with who put them in force where', () => {
    const [one, other] = [of('na'), of('nb')];
    const opened = other.open(3, DIGEST, one.seal(3, GIVEN));
    expect(opened?.by).toBe('dana, at node na');
    expect(opened?.texts.map(({ name, text }) => [name, text])).toEqual([
      [POLICY.name, POLICY.text],
      [CASES.name, CASES.text],
    ]);
  });

  // Each by itself: the digest is the store's word, and so is the position.
  it('D1 are none where they were moved to another position, with their digest: older ones do not come back', () => {
    const one = of('na');
    expect(one.open(4, DIGEST, one.seal(3, GIVEN))).toBeUndefined();
  });

  it('D1 are none under the digest of others: what is told to be in force is what decides', () => {
    const one = of('na');
    const others = digestOf([{ ...POLICY, text: `${POLICY.text}\n` }]);
    expect(one.open(3, others, one.seal(3, GIVEN))).toBeUndefined();
  });

  it.each([
    ['by whoever has another key', () => of('na', 'acme', Buffer.alloc(32, 9))],
    ['for another tenant', () => of('na', 'rival')],
  ])('I1 are none where they were sealed %s', (_, stranger) => {
    expect(of('nb').open(3, DIGEST, stranger().seal(3, GIVEN))).toBeUndefined();
  });
});

it('D1 the digest is of all that decides, with its name, and of nothing else', () => {
  const forbid = { name: 'b.cedar', path: '', text: 'forbid (principal, action, resource);' };
  const all = [
    [POLICY],
    [{ ...POLICY, text: `${POLICY.text} ` }],
    [{ ...POLICY, name: 'other.cedar' }],
    [POLICY, forbid],
    [forbid],
  ].map(digestOf);
  expect(new Set(all).size).toBe(all.length);
  expect(digestOf([{ ...POLICY, path: 'elsewhere' }, CASES])).toBe(digestOf([POLICY]));
});
