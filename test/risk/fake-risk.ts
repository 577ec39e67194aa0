import type { RiskSubject } from '../../src/domain/risk.ts';
import { createConsequences, type RiskRules } from '../../src/risk/consequences.ts';
import { createRisk, type SignalRecord } from '../../src/risk/create-risk.ts';
import { createHistory, type Use } from '../../src/risk/history.ts';
import { Scores } from '../../src/risk/scores.ts';
import { createCallWatch, type WatchParts } from '../../src/risk/watch-calls.ts';

/** Risk over parts whose every step a test can see and hold up: the trail and the revocation log are lists. */
export const WEIGHTS = {
  denials: 60,
  novel_tool: 25,
  novel_destination: 25,
  taint: 25,
  off_hours: 25,
  definition_changed: 25,
  suspect_definition: 25,
  connector_fault: 25,
  credential_echoed: 60,
  canary: 200,
  external: 50,
};

const NO_RULE = { holdReads: false };
export const NO_RULES: RiskRules = { task: NO_RULE, connector: NO_RULE, agent: NO_RULE, user: NO_RULE };
const QUIET = { debug() {}, info() {}, warn() {} };

export function makeRisk(
  options: {
    readonly rules?: Partial<RiskRules>;
    readonly record?: (entry: SignalRecord) => Promise<unknown>;
    readonly order?: (action: 'suspend' | 'revoke', subject: RiskSubject) => Promise<unknown>;
    readonly heldBy?: (subject: RiskSubject) => 'suspend' | 'revoke' | undefined;
    readonly known?: readonly Use[];
    readonly offHoursOf?: WatchParts['offHoursOf'];
    readonly start?: number;
    readonly shared?: Parameters<typeof createRisk>[0]['shared'];
  } = {},
) {
  const records: SignalRecord[] = [];
  const ordered: string[] = [];
  const kept: Use[] = [];
  const faults: string[] = [];
  const time = { now: options.start ?? 1_800_000_000_000 };
  const clock = (): number => time.now;
  const levels = createRisk({
    scores: new Scores({ halfLifeMs: 60_000, bounds: { elevated: 20, high: 50, critical: 100 } }),
    consequences: createConsequences({
      rules: { ...NO_RULES, ...options.rules },
      async order(action, subject) {
        await options.order?.(action, subject);
        ordered.push(`${action} ${subject.kind} ${subject.id}`);
      },
      heldBy: options.heldBy ?? (() => undefined),
      log: { ...QUIET, error: (_: object, message: string) => void faults.push(message) },
    }),
    weights: WEIGHTS,
    async record(entry) {
      records.push(entry);
      await options.record?.(entry);
    },
    recordLater: (entry) => void records.push(entry),
    count() {},
    clock,
    shared: options.shared,
  });
  const history = createHistory(options.known ?? [], (use) => void kept.push(use));
  const calls = createCallWatch({
    risk: levels,
    weights: WEIGHTS,
    burst: { count: 3, windowMs: 60_000 },
    history,
    learnMs: 3_600_000,
    digest: (text) => `digest of ${text}`,
    offHoursOf: options.offHoursOf ?? (() => undefined),
    clock,
  });
  const signals = (): string[] => records.map(({ detail }) => String(detail.signal));
  return { levels, calls, history, records, signals, ordered, kept, faults, time };
}

export const settled = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));
