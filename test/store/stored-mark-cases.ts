import { expect, test } from 'vitest';
import type { FlowLabels } from '../../src/domain/flow.ts';
import { connectorId } from '../../src/domain/ids.ts';
import type { StoredMark } from '../../src/domain/stored-mark.ts';
import type { StoreFixture } from '../suites/store-suite.ts';
import { ACME, NOW, RIVAL } from './samples.ts';

const UNTRUSTED: FlowLabels = { trust: 'untrusted', dataClasses: ['personal'], zones: ['internal'] };
const mark = (change: Partial<StoredMark> = {}): StoredMark => ({
  tenant: ACME,
  connector: connectorId('wiki'),
  names: { page: ['fingerprint', 'another'], space: ['third'] },
  labels: UNTRUSTED,
  at: NOW,
  ...change,
});

export function testStoredMarks(current: () => StoreFixture): void {
  test('a mark comes back as it was kept; the same once more is one row, of the later time', async () => {
    const { storedMarks } = current().store;
    await storedMarks.keep(mark());
    await storedMarks.keep(mark({ at: NOW + 5 }));
    await storedMarks.keep(mark({ names: undefined, at: NOW + 1 }));
    const found = (await storedMarks.list(ACME)).sort((one, other) => one.at - other.at);
    const sorted = { page: ['another', 'fingerprint'], space: ['third'] };
    expect(found).toEqual([mark({ names: undefined, at: NOW + 1 }), { ...mark({ at: NOW + 5 }), names: sorted }]);
  });

  test('I1 marks of another tenant are neither listed nor forgotten', async () => {
    const { storedMarks } = current().store;
    await storedMarks.keep(mark());
    await storedMarks.keep(mark({ tenant: RIVAL }));
    expect(await storedMarks.list(ACME)).toHaveLength(1);
    expect(await storedMarks.forget(ACME, { things: NOW, connectors: NOW })).toBe(1);
    expect(await storedMarks.list(ACME)).toEqual([]);
    expect(await storedMarks.list(RIVAL)).toHaveLength(1);
  });

  test('two gateways that mark one thing at once lose neither’s labels', async () => {
    const other = await current().openAnother();
    const financial: FlowLabels = { ...UNTRUSTED, dataClasses: ['financial'] };
    const { storedMarks } = current().store;
    await Promise.all([storedMarks.keep(mark()), other.storedMarks.keep(mark({ labels: financial }))]);
    const classes = (await storedMarks.list(ACME)).flatMap(({ labels }) => labels.dataClasses).sort();
    expect(classes).toEqual(['financial', 'personal']);
  });

  test('things and whole connectors are forgotten at ages of their own', async () => {
    const { storedMarks } = current().store;
    await storedMarks.keep(mark());
    await storedMarks.keep(mark({ names: undefined }));
    expect(await storedMarks.forget(ACME, { things: NOW - 1, connectors: NOW })).toBe(1);
    expect((await storedMarks.list(ACME)).map(({ names }) => names === undefined)).toEqual([false]);
  });
}
