import { appendFile } from 'node:fs/promises';
import type { IssueRequest, Issuer } from '../src/seams/issuer.ts';
import { newLease, requestFor } from '../test/suites/issuer-suite.ts';

/** One issuer's cost, as the figure line has it. */
export interface Cost {
  readonly service: string;
  /** Milliseconds, median. */
  readonly issue: number;
  readonly revoke: number;
}

/** Issues and revokes one after the other, and notes the medians for `services/main.ts`. */
export async function measureIssuer(
  service: string,
  issuer: Issuer,
  ask: Partial<IssueRequest>,
  rounds: number,
): Promise<Cost> {
  const issues: number[] = [];
  const revokes: number[] = [];
  for (let round = 0; round < rounds; round++) {
    const lease = newLease(issuer);
    let start = performance.now();
    const { handle } = await issuer.issue({ ...requestFor(lease, AbortSignal.timeout(10_000)), ...ask });
    issues.push(performance.now() - start);
    start = performance.now();
    await issuer.revoke(lease, handle);
    revokes.push(performance.now() - start);
  }
  const cost = { service, issue: median(issues), revoke: median(revokes) };
  const file = process.env.REMIT_SERVICES_COSTS;
  if (file !== undefined) await appendFile(file, `${JSON.stringify(cost)}\n`);
  return cost;
}

function median(values: number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  return sorted[Math.floor(sorted.length / 2)] ?? 0;
}
