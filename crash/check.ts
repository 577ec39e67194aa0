import { join } from 'node:path';
import { createJournalAccess } from '../src/compose/trail/journal-access.ts';
import type { Downstream } from './downstream.ts';
import type { Home } from './estate.ts';
import { type LeaseRow, readLeases, readTrail, withoutOutcome } from './ledger.ts';
import type { Tally } from './tally.ts';

/** The bound T: after it, a restarted gateway has ended what its predecessor left (L5). */
const WITHIN_MS = 10_000;
/** What an issue that arrives late may live on for, beyond its deadline: the skew that is allowed for, and a retry (L4). */
const AFTER_DEADLINE_MS = 9_000;

export interface Excess {
  readonly tag: string;
  readonly why: string;
}

/** Live objects and sessions that no lease stands for. @param excused tags that may live on until a time */
export async function findExcess(
  home: Home,
  downstreams: readonly Downstream[],
  excused: ReadonlyMap<string, number>,
): Promise<Excess[]> {
  // Objects first: a lease that begins in between has its row before its object.
  const alive = (await Promise.all(downstreams.map((downstream) => downstream.alive()))).flat();
  if (alive.length === 0) return [];
  const rows = new Map((await readLeases(home)).map((row) => [row.tag, row]));
  return alive.flatMap(({ tag, sessions, mayLogIn }) => {
    const row = rows.get(tag);
    if (row?.state === 'active' || row?.state === 'lapsing') return [];
    if ((excused.get(tag) ?? 0) > Date.now()) return [];
    const what = `${mayLogIn ? 'may log in' : 'barred'}, ${sessions} sessions`;
    return [{ tag, why: `${what}; its row: ${row === undefined ? 'there is none' : row.state}` }];
  });
}

/** Waits until nothing is alive beyond its lease. @returns what still is when the bound has passed */
export async function awaitNoExcess(
  home: Home,
  downstreams: readonly Downstream[],
  excused: ReadonlyMap<string, number>,
  withinMs = WITHIN_MS,
): Promise<Excess[]> {
  const until = performance.now() + withinMs;
  for (;;) {
    const excess = await findExcess(home, downstreams, excused);
    if (excess.length === 0 || performance.now() > until) return excess;
    await new Promise((resolve) => setTimeout(resolve, 30));
  }
}

/** Until when a lease may be alive whose issue was delivered after its gateway's death. */
export const excusedUntil = (row: LeaseRow): number => row.issueDeadline + AFTER_DEADLINE_MS;

/** The trail is whole, and no decision is left without an outcome (A1, A4). */
export async function checkTrail(home: Home, tally: Tally, at: string): Promise<void> {
  const verified = await createJournalAccess(join(home.data, 'journal')).verify({
    key: undefined,
    anchorFile: undefined,
  });
  if (!verified.ok)
    tally.findings.push({ what: 'the trail does not verify', detail: `${at}: ${verified.problem.what}` });
  const records = await readTrail(home);
  for (const record of withoutOutcome(records)) {
    tally.findings.push({ what: 'a decision without outcome', detail: `${at}: record ${record.seq}` });
  }
}

/** What the dead gateway held open is being ended, or has been, within the bound too. */
export async function checkRows(home: Home, left: readonly string[], tally: Tally, at: string): Promise<void> {
  if (left.length === 0) return;
  const ids = new Set(left);
  const until = performance.now() + WITHIN_MS;
  for (;;) {
    const going = (await readLeases(home)).filter(
      ({ id, state }) => ids.has(id) && (state === 'intended' || state === 'active'),
    );
    if (going.length === 0) return;
    if (performance.now() > until) {
      const what = 'a lease of a dead gateway goes on';
      for (const { id, state } of going) tally.findings.push({ what, detail: `${at}: ${id} is ${state}` });
      return;
    }
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}
