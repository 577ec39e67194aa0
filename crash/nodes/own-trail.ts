import { join } from 'node:path';
import { createJournalAccess } from '../../src/compose/trail/journal-access.ts';
import { readTrail, withoutOutcome } from '../ledger.ts';

/** A node went on with a task: its own of before, or another's. */
export interface GoneOnWith {
  readonly task: string;
  readonly node: string;
  /** Calls that it took to be made. */
  readonly used: number;
  /** Before it served the task, milliseconds since the epoch. */
  readonly at: number;
}

/** Of one node's own trail: it is whole, and each decision has an outcome (A1, A4). */
export async function readOwnTrail(
  data: string,
  name: string,
): Promise<{ readonly findings: string[]; readonly adopted: readonly GoneOnWith[] }> {
  const verified = await createJournalAccess(join(data, 'journal')).verify({ key: undefined, anchorFile: undefined });
  const records = await readTrail({ data });
  const open = withoutOutcome(records);
  const findings = [
    ...(verified.ok ? [] : [`the trail of ${name} does not verify: ${verified.problem.what}`]),
    ...open.map(({ seq }) => `a decision without outcome: record ${seq} of ${name}`),
  ];
  const adopted = records.flatMap(({ type, task, time, detail: { used } }) =>
    type === 'task_adopted' && task !== undefined && typeof used === 'number'
      ? [{ task, node: name, used, at: Date.parse(time) }]
      : [],
  );
  return { findings, adopted };
}
