import { readFile } from 'node:fs/promises';
import { describe, expect, it } from 'vitest';
import { judge, type Known, parseKnown } from '../../conformance/known.ts';
import { PAIRINGS } from '../../conformance/pairings.ts';

const entry = {
  scenario: 'rounds',
  checks: ['key'],
  pairings: ['modern-legacy'],
  reason: 'A legacy question has no key, so the key in the round is ours.',
  reference: 'https://modelcontextprotocol.io/specification/2025-11-25/client/elicitation',
};
const miss = { scenario: 'rounds', check: 'key', reason: 'FAILURE' };
const score = { scored: 2, passed: 1, misses: [miss] };

describe('what cannot be bridged', () => {
  it('excuses a listed check in its pairing and in no other', () => {
    expect(judge('modern-legacy', score, [entry])).toMatchObject({ excused: [miss], unexpected: [], stale: [] });
    expect(judge('modern-modern', score, [entry])).toMatchObject({ excused: [], unexpected: [miss], stale: [] });
  });

  it('does not excuse another check of the same scenario', () => {
    const other = { ...miss, check: 'schema' };
    expect(judge('modern-legacy', { ...score, misses: [miss, other] }, [entry]).unexpected).toEqual([other]);
  });

  it('finds an entry that passes', () => {
    const passing = { scored: 2, passed: 2, misses: [] };
    expect(judge('modern-legacy', passing, [entry]).stale).toEqual([{ scenario: 'rounds', check: 'key' }]);
    expect(judge('legacy-legacy', passing, [entry]).stale).toEqual([]);
  });

  it.each([
    ['no reason', { ...entry, reason: '' }],
    ['a reason that says nothing', { ...entry, reason: 'does not work' }],
    ['no reference', { ...entry, reference: undefined }],
    ['no check', { ...entry, checks: [] }],
    ['another key', { ...entry, until: 'later' }],
  ])('refuses an entry with %s', (_title, wrong) => {
    expect(() => parseKnown(JSON.stringify([wrong]))).toThrow();
  });

  it('refuses a check that is listed twice', () => {
    expect(() => parseKnown(JSON.stringify([entry, entry]))).toThrow(/twice/);
  });

  it('lists only pairings that run', async () => {
    const known: Known = parseKnown(await readFile('conformance/cannot-bridge.json', 'utf8'));
    const ids = [...PAIRINGS.map(({ id }) => id), 'outbound-2025-11-25', 'outbound-2026-07-28'];
    for (const { pairings } of known) for (const pairing of pairings) expect(ids).toContain(pairing);
  });
});
