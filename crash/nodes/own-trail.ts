import { join } from 'node:path';
import { createJournalAccess } from '../../src/compose/trail/journal-access.ts';
import { readTrail, withoutOutcome } from '../ledger.ts';

/** Of one node's own trail: it is whole, and each decision has an outcome (A1, A4). */
export async function readOwnTrail(data: string, name: string): Promise<{ findings: string[]; adopted: number }> {
  const verified = await createJournalAccess(join(data, 'journal')).verify({ key: undefined, anchorFile: undefined });
  const records = await readTrail({ data });
  const open = withoutOutcome(records);
  const findings = [
    ...(verified.ok ? [] : [`the trail of ${name} does not verify: ${verified.problem.what}`]),
    ...open.map(({ seq }) => `a decision without outcome: record ${seq} of ${name}`),
  ];
  return { findings, adopted: records.filter(({ type }) => type === 'task_adopted').length };
}
