import { join } from 'node:path';
import { awaitNoExcess } from '../crash/check.ts';
import type { Downstream } from '../crash/downstream.ts';
import type { Home } from '../crash/estate.ts';
import { readTrail, withoutOutcome } from '../crash/ledger.ts';
import { createJournalAccess } from '../src/compose/trail/journal-access.ts';

/** An issue under way at a death may be delivered late: until its deadline, the skew allowed for and a retry have passed (L4). */
const LEASES_WITHIN_MS = 40_000;

/** What must hold after a restart, whatever the fault was. @returns what does not */
export async function findViolations(
  home: Home,
  downstream: Downstream,
  forwarded: readonly string[],
): Promise<string[]> {
  const violations: string[] = [];
  const verified = await createJournalAccess(join(home.data, 'journal')).verify({
    key: undefined,
    anchorFile: undefined,
  });
  if (!verified.ok) violations.push(`A4 the trail does not verify: ${verified.problem.what}`);
  const records = await readTrail(home);
  const permitted = new Set(
    records.flatMap(({ type, span, detail }) => (type === 'decision' && detail.verdict === 'permit' ? [span] : [])),
  );
  const seen = new Set<string>();
  for (const context of forwarded) {
    const span = context.split('-')[2] ?? '';
    if (!permitted.has(span)) violations.push(`A1 a call was forwarded (${context}) without a decision on record`);
    if (seen.has(span)) violations.push(`I2 a call was forwarded twice (${context})`);
    seen.add(span);
  }
  for (const record of withoutOutcome(records)) violations.push(`A1 decision ${record.seq} has no outcome`);
  violations.push(...(await findLeaseViolations(home, downstream)));
  return violations;
}

export async function findLeaseViolations(home: Home, downstream: Downstream): Promise<string[]> {
  const excess = await awaitNoExcess(home, [downstream], new Map(), LEASES_WITHIN_MS);
  return excess.map(({ tag, why }) => `L5 ${tag} is alive beyond its lease: ${why}`);
}
