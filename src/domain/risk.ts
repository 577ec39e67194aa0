/** What is known of how a subject has behaved lately, worst last. */
export const RISK_LEVELS = ['low', 'elevated', 'high', 'critical'] as const;
export type RiskLevel = (typeof RISK_LEVELS)[number];

export const RISK_SUBJECTS = ['task', 'connector', 'agent', 'user'] as const;
export type RiskSubjectKind = (typeof RISK_SUBJECTS)[number];

/** Whom a signal is about. A user is `issuer#subject`. */
export interface RiskSubject {
  readonly kind: RiskSubjectKind;
  readonly id: string;
}

/** What can move a risk. */
export const SIGNAL_KINDS = [
  'denials',
  'novel_tool',
  'novel_destination',
  'taint',
  'off_hours',
  'definition_changed',
  'suspect_definition',
  'connector_fault',
  'credential_echoed',
  'canary',
  'external',
] as const;
export type SignalKind = (typeof SIGNAL_KINDS)[number];

/** Levels of all whom one call concerns. */
export type CallRisk = Readonly<Record<RiskSubjectKind, RiskLevel>>;

/** The very object while nothing has happened: whoever asks compares with it. */
export const NO_RISK: CallRisk = { task: 'low', connector: 'low', agent: 'low', user: 'low' };

/** A score as it was at a time, in milliseconds since the epoch: its value at any later time follows. */
export interface Score {
  readonly score: number;
  readonly at: number;
}

/** Scores from which on a level is reached. */
export type LevelBounds = Readonly<Record<Exclude<RiskLevel, 'low'>, number>>;

/** Less than one point is none: so a score that nobody needs any more can be forgotten without a difference. */
const LEAST = 1;

/** One key and one text for a subject: `task tsk_…`. */
export const riskKey = ({ kind, id }: RiskSubject): string => `${kind} ${id}`;

/** Undefined for what is no subject's text. */
export function readRiskKey(key: string): RiskSubject | undefined {
  const at = key.indexOf(' ');
  const kind = RISK_SUBJECTS.find((one) => one === key.slice(0, at));
  return kind === undefined || at + 1 >= key.length ? undefined : { kind, id: key.slice(at + 1) };
}

/** What is left of a score. A clock that went back, or is no time, makes nothing smaller. */
export function scoreAt({ score, at }: Score, now: number, halfLifeMs: number): number {
  const passed = now - at;
  const left = passed > 0 ? score * 2 ** (-passed / halfLifeMs) : score;
  return left >= LEAST ? left : 0;
}

export function levelOf(score: number, bounds: LevelBounds): RiskLevel {
  if (score >= bounds.critical) return 'critical';
  if (score >= bounds.high) return 'high';
  return score >= bounds.elevated ? 'elevated' : 'low';
}

export const isAtLeast = (level: RiskLevel, least: RiskLevel): boolean =>
  RISK_LEVELS.indexOf(level) >= RISK_LEVELS.indexOf(least);

/** What a `signal` record says of each subject's score after it; undefined for what nobody of ours wrote. */
export function readScore(value: unknown): Score | undefined {
  const [score, at] = Array.isArray(value) ? (value as unknown[]) : [];
  const isNumber = (one: unknown): one is number => typeof one === 'number' && Number.isFinite(one) && one >= 0;
  return isNumber(score) && isNumber(at) ? { score, at } : undefined;
}
