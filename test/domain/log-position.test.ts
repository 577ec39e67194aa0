import { expect, it } from 'vitest';
import { tenantId } from '../../src/domain/ids.ts';
import { isSetBack, logRowOf, readLogPosition } from '../../src/domain/log-position.ts';
import type { Revocation } from '../../src/domain/revocation.ts';

const row: Revocation = {
  tenant: tenantId('acme'),
  position: 7,
  action: 'suspend',
  subject: { kind: 'agent', id: 'scribe' },
  by: 'dana',
  reason: 'leak',
  at: 1,
};
const known = { position: 7, row: logRowOf(row) };

it('V1 a log that ends before what was read, or has another row there, is set back', () => {
  expect(isSetBack(known, 6, undefined)).toBe(true);
  expect(isSetBack(known, 9, undefined)).toBe(true);
  for (const other of [
    { action: 'resume' },
    { subject: { kind: 'agent', id: 'other' } },
    { by: 'eve' },
    { reason: 'none' },
  ] as const)
    expect(isSetBack(known, 7, { ...row, ...other }), JSON.stringify(other)).toBe(true);
});

it('one that was read, and went on, is not', () => {
  expect(isSetBack(known, 7, row)).toBe(false);
  expect(isSetBack(known, 12, row)).toBe(false);
  expect(isSetBack({ position: 7, row: undefined }, 7, { ...row, by: 'eve' })).toBe(false);
  expect(isSetBack({ position: 0, row: undefined }, 0, undefined)).toBe(false);
});

it('is read from a record as it was written, and from nothing else', () => {
  expect(readLogPosition({ position: 7, ...known.row })).toEqual(known);
  expect(readLogPosition({ position: 7 })).toEqual({ position: 7, row: undefined });
  for (const none of [undefined, {}, { position: -1 }, { position: '7' }])
    expect(readLogPosition(none)).toBeUndefined();
});
