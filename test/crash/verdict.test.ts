import { expect, it } from 'vitest';
import { classify } from '../../crash/caught.ts';
import type { LeaseRow } from '../../crash/ledger.ts';
import { allSteps, dealPlans, nameOf } from '../../crash/steps.ts';
import { count, neverHit, newTally, report } from '../../crash/tally.ts';
import { seededRandom } from '../../harness/random.ts';
import type { AuditRecord } from '../../src/domain/record.ts';

const row = (state: LeaseRow['state']): LeaseRow => ({
  id: 'lse_1',
  tag: 'remit_1',
  connector: 'shop',
  state,
  intendedAt: 0,
  issueDeadline: 0,
});
const record = (type: AuditRecord['type']): AuditRecord => ({ type, lease: 'lse_1', detail: {} }) as AuditRecord;
const object = (mayLogIn: boolean, sessions = 0) => ({ tag: 'remit_1', mayLogIn, sessions });
const INTENDED = record('credential_intended');
const ISSUED = record('credential_issued');

it.each([
  ['row without record', [row('intended')], [], []],
  ['record without row', [], [INTENDED], []],
  ['intent durable, nothing issued', [row('intended')], [INTENDED], []],
  ['issued, not recorded', [row('intended')], [INTENDED], [object(true)]],
  ['recorded as issued, row not active yet', [row('intended')], [INTENDED, ISSUED], [object(true)]],
  ['active row, record not written yet', [row('active')], [INTENDED], [object(true)]],
  ['active, in use', [row('active')], [INTENDED, ISSUED], [object(true, 1)]],
  ['revoking, barred', [row('revoking')], [INTENDED, ISSUED], [object(false)]],
  ['revoking, gone, not recorded', [row('revoking')], [INTENDED, ISSUED], []],
  ['revocation recorded, row still open', [row('revoking')], [INTENDED, record('revocation')], []],
])('a kill caught a lease: %s', (place, rows, records, alive) => {
  expect([...classify(rows, records, alive).values()]).toEqual([place]);
});

it('deals each step before any comes again, and a short run has them all', () => {
  for (const withRedis of [false, true]) {
    const steps = allSteps(withRedis).map(nameOf);
    const deal = dealPlans(seededRandom(1), withRedis, steps.length);
    expect(steps.map(() => nameOf(deal().step)).sort()).toEqual(steps.toSorted());
  }
});

it('says what was alive and which step was never hit, and ends with the verdict', () => {
  const tally = newTally();
  for (const step of allSteps(false).slice(1)) count(tally.byStep, nameOf(step));
  expect(neverHit(tally, false)).toEqual(['random point']);
  tally.alive.set('remit_1', 'may log in');
  tally.kills = 3;
  const lines = report(tally, false).trimEnd().split('\n');
  expect(lines).toContain('ALIVE remit_1: may log in');
  expect(lines).toContain('NEVER HIT: random point');
  expect(lines.at(-1)).toBe('crash: 3 kills, 0 credentials issued, alive beyond their lease after restart: 1');
});
