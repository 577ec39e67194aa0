import {
  type LevelBounds,
  levelOf,
  RISK_SUBJECTS,
  type RiskLevel,
  type RiskSubject,
  type RiskSubjectKind,
  type Score,
  scoreAt,
} from '../domain/risk.ts';

export interface ScoreOptions {
  readonly halfLifeMs: number;
  readonly bounds: LevelBounds;
}

/** A score is no higher than so many times what is critical: a flood of signals is not held against anybody for days. */
const MOST = 4;
/** Subjects of a kind that are kept; beyond it the one with least goes (guarantee I3). */
const MOST_SUBJECTS = 10_000;

/** A score for each subject that has one. Reading changes nothing. */
export class Scores {
  readonly #options: ScoreOptions;
  readonly #kinds = new Map<RiskSubjectKind, Map<string, Score>>(RISK_SUBJECTS.map((kind) => [kind, new Map()]));
  #size = 0;

  constructor(options: ScoreOptions) {
    this.#options = options;
  }

  /** The highest that a score gets. */
  get most(): number {
    return MOST * this.#options.bounds.critical;
  }

  /** Whether no subject has a score at all. */
  get isEmpty(): boolean {
    return this.#size === 0;
  }

  add({ kind, id }: RiskSubject, points: number, now: number): Score {
    const known = this.#of(kind).get(id);
    const before = known === undefined ? 0 : scoreAt(known, now, this.#options.halfLifeMs);
    const score = Math.min(before + points, this.most);
    // A time that is none: what was added then never decays, until somebody clears it.
    const at = Number.isFinite(now) ? Math.max(now, known?.at ?? 0) : Number.MAX_SAFE_INTEGER;
    const next = { score, at };
    this.set({ kind, id }, next, now);
    return next;
  }

  set({ kind, id }: RiskSubject, score: Score, now: number): void {
    const scores = this.#of(kind);
    if (!scores.has(id) && scores.size >= MOST_SUBJECTS) this.#makeRoom(scores, now);
    scores.set(id, score);
    this.#count();
  }

  value({ kind, id }: RiskSubject, now: number): number {
    const known = this.#of(kind).get(id);
    return known === undefined ? 0 : scoreAt(known, now, this.#options.halfLifeMs);
  }

  level(subject: RiskSubject, now: number): RiskLevel {
    return this.ofKind(subject.kind, subject.id, now);
  }

  /** The same without an object for the question. */
  ofKind(kind: RiskSubjectKind, id: string, now: number): RiskLevel {
    const known = this.#of(kind).get(id);
    return known === undefined ? 'low' : levelOf(scoreAt(known, now, this.#options.halfLifeMs), this.#options.bounds);
  }

  /** @returns whether there was one */
  forget({ kind, id }: RiskSubject): boolean {
    const had = this.#of(kind).delete(id);
    this.#count();
    return had;
  }

  /** Forgets scores of which nothing is left. No answer changes by it. */
  sweep(now: number): void {
    for (const scores of this.#kinds.values()) {
      for (const [id, score] of scores) if (scoreAt(score, now, this.#options.halfLifeMs) === 0) scores.delete(id);
    }
    this.#count();
  }

  /** All that have something left, the riskiest first. */
  list(now: number): readonly { readonly subject: RiskSubject; readonly score: number; readonly level: RiskLevel }[] {
    const found = [...this.#kinds].flatMap(([kind, scores]) =>
      [...scores].map(([id, known]) => {
        const score = scoreAt(known, now, this.#options.halfLifeMs);
        return { subject: { kind, id }, score, level: levelOf(score, this.#options.bounds) };
      }),
    );
    return found.filter(({ score }) => score > 0).sort((a, b) => b.score - a.score);
  }

  #of(kind: RiskSubjectKind): Map<string, Score> {
    return this.#kinds.get(kind) as Map<string, Score>;
  }

  #count(): void {
    let size = 0;
    for (const scores of this.#kinds.values()) size += scores.size;
    this.#size = size;
  }

  #makeRoom(scores: Map<string, Score>, now: number): void {
    let least: string | undefined;
    let lowest = Number.POSITIVE_INFINITY;
    for (const [id, score] of scores) {
      const left = scoreAt(score, now, this.#options.halfLifeMs);
      if (left < lowest) [least, lowest] = [id, left];
    }
    if (least !== undefined) scores.delete(least);
  }
}
