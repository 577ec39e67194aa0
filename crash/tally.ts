import { CAUGHT, type Caught } from './caught.ts';
import type { LoadCounts } from './load.ts';
import { allSteps, nameOf } from './steps.ts';
import type { WireCounts } from './wire.ts';

/** Something that must not be, found after a restart. */
export interface Finding {
  readonly what: string;
  readonly detail: string;
}

/** What a whole run comes to. */
export interface Tally {
  kills: number;
  restarts: number;
  issued: number;
  readonly byStep: Map<string, number>;
  readonly missed: Map<string, number>;
  readonly caught: Map<Caught, number>;
  readonly wire: WireCounts;
  readonly load: LoadCounts;
  /** From a restarted process's start until nothing was left of its predecessor, milliseconds. */
  readonly cleanAfterMs: number[];
  readonly startMs: number[];
  /** Tags that were alive beyond their lease, once each. */
  readonly alive: Map<string, string>;
  readonly findings: Finding[];
  tornTails: number;
  outcomesUnknown: number;
}

export function newTally(): Tally {
  return {
    kills: 0,
    restarts: 0,
    issued: 0,
    byStep: new Map(),
    missed: new Map(),
    caught: new Map(),
    wire: { delayed: 0, stalled: 0, lost: 0 },
    load: {
      tasks: 0,
      calls: 0,
      looked: 0,
      suspended: 0,
      stopped: 0,
      endings: { ended: 0, abandoned: 0, byAdministrator: 0, leaseRevoked: 0, killed: 0 },
    },
    cleanAfterMs: [],
    startMs: [],
    alive: new Map(),
    findings: [],
    tornTails: 0,
    outcomesUnknown: 0,
  };
}

export const count = <K>(counts: Map<K, number>, key: K): void => void counts.set(key, (counts.get(key) ?? 0) + 1);

/** Steps that no kill came to. A run with one has not shown what it is for. */
export function neverHit(tally: Tally, withRedis: boolean): string[] {
  return allSteps(withRedis)
    .map(nameOf)
    .filter((name) => !tally.byStep.has(name));
}

/** The report; its last line is the verdict. */
export function report(tally: Tally, withRedis: boolean): string {
  const { load, wire, cleanAfterMs, startMs } = tally;
  const never = neverHit(tally, withRedis);
  return [
    '',
    'kills by step',
    ...allSteps(withRedis).map((step) => line(nameOf(step), tally.byStep.get(nameOf(step)) ?? 0)),
    `  (${sum(tally.missed)} more came at a random point, because their step did not come in time)`,
    '',
    'leases by where a kill caught them, told from what was left',
    ...CAUGHT.map((place) => line(place, tally.caught.get(place) ?? 0)),
    '',
    `load: ${load.tasks} tasks, ${load.calls} calls, ${load.looked} of them used their credential at its downstream; ${load.endings.ended} tasks ended, ${load.endings.byAdministrator} ended by an administrator, ${load.endings.abandoned} abandoned, ${load.endings.leaseRevoked} leases revoked, ${load.endings.killed} tasks killed, ${load.suspended} suspended and resumed, ${load.stopped} stops of an agent, a connector or everything`,
    `wire: ${wire.delayed} messages delayed, ${wire.stalled} stalled, ${wire.lost} lost with their connection`,
    `restarts: ${tally.restarts}; serving after ${spread(startMs)} ms; nothing left of the predecessor after ${spread(cleanAfterMs)} ms`,
    `trail: verified after each restart; ${tally.outcomesUnknown} calls recorded as outcome_unknown`,
    ...[...tally.alive].map(([tag, why]) => `ALIVE ${tag}: ${why}`),
    ...tally.findings.map(({ what, detail }) => `FOUND ${what}: ${detail}`),
    ...(never.length > 0 ? [`NEVER HIT: ${never.join(', ')}`] : []),
    `crash: ${tally.kills} kills, ${tally.issued} credentials issued, alive beyond their lease after restart: ${tally.alive.size}`,
    '',
  ].join('\n');
}

const line = (name: string, times: number): string => `  ${String(times).padStart(6)}  ${name}`;
const sum = (counts: Map<string, number>): number => [...counts.values()].reduce((total, times) => total + times, 0);

/** Median and longest. */
function spread(values: readonly number[]): string {
  const sorted = values.toSorted((one, other) => one - other);
  return `${Math.round(sorted[sorted.length >> 1] ?? 0)} (longest ${Math.round(sorted.at(-1) ?? 0)})`;
}
