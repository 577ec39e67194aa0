import { expect, test } from 'vitest';
import type { StoreFixture } from '../suites/store-suite.ts';
import { ACME, NOW, RIVAL } from './samples.ts';

export function testRiskHistory(current: () => StoreFixture): void {
  test('I1 the first time of each use stays, and belongs to its tenant', async () => {
    const { riskHistory } = current().store;
    const use = { tenant: ACME, scope: 'agent scribe reports', kind: 'tool', value: 'crm/read', firstAt: NOW };
    await riskHistory.add(use);
    await riskHistory.add({ ...use, firstAt: NOW + 1 });
    await riskHistory.add({ ...use, value: 'crm/write' });
    await riskHistory.add({ ...use, tenant: RIVAL });
    const found = await riskHistory.list(ACME);
    expect(found.sort((a, b) => a.value.localeCompare(b.value))).toEqual([use, { ...use, value: 'crm/write' }]);
    expect(await riskHistory.list(RIVAL)).toEqual([{ ...use, tenant: RIVAL }]);
  });
}
