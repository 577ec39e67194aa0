import type { ConnectorId, TaskId } from '../domain/ids.ts';
import { type Principal, userKey } from '../domain/principal.ts';
import type { AuditRecord } from '../domain/record.ts';
import {
  type CallRisk,
  NO_RISK,
  type RiskLevel,
  type RiskSubject,
  riskKey,
  type Score,
  type SignalKind,
} from '../domain/risk.ts';
import type { Task } from '../domain/task.ts';
import type { Clock } from '../seams/clock.ts';
import type { Consequences } from './consequences.ts';
import type { Scores } from './scores.ts';
import type { SharedScores } from './shared-scores.ts';

/** Something happened that says how risky somebody is. */
export interface Signal {
  readonly kind: SignalKind;
  /** One line, without any content: `5 denials within 60 s, the last: remit:task-tool shop/refunds`. */
  readonly what: string;
  /** Each gets the points. */
  readonly subjects: readonly RiskSubject[];
  /** Left out: what its kind weighs. */
  readonly points?: number;
  /** Of whom it was seen; of a task's signal, the task's identity. */
  readonly identity?: Pick<AuditRecord, 'trace' | 'span' | 'user' | 'agent' | 'task' | 'connector' | 'tool'>;
  /** What others may see as well: among several nodes it counts once for a subject. */
  readonly cause?: string;
}

/** Whom a call concerns. */
export interface RiskyCall {
  readonly principal: Principal;
  readonly task: Pick<Task, 'id'>;
  readonly connector: ConnectorId;
}

/** Subjects that a call is denied for, and those that hold it. */
export interface RiskJudgement {
  readonly action: 'deny' | 'hold';
  readonly by: RiskSubject;
  readonly level: RiskLevel;
}

/** What a record of a signal is made of; whoever writes it adds time and tenant. */
export type SignalRecord = Pick<
  AuditRecord,
  'trace' | 'span' | 'user' | 'agent' | 'task' | 'connector' | 'tool' | 'detail'
> & { readonly type: 'signal' };

export interface RiskParts {
  readonly scores: Scores;
  readonly consequences: Consequences;
  /** Points of each kind; 0: such a signal is none. */
  readonly weights: Readonly<Record<SignalKind, number>>;
  /** Appends in the order in which it is called; resolves when durable. */
  readonly record: (entry: SignalRecord) => Promise<unknown>;
  readonly recordLater: (entry: SignalRecord) => void;
  readonly count: (kind: SignalKind) => void;
  readonly clock: Clock;
  /** What other nodes are to know; left out where there are none. */
  readonly shared?: Pick<SharedScores, 'tell' | 'told' | 'exchange'> | undefined;
}

/** How risky tasks, connectors, agents and users are. */
export interface Risk {
  /** Of whom a call concerns: `NO_RISK` itself where nobody's is more than low. */
  levelsOf(call: RiskyCall): CallRisk;
  /** What thresholds say of a call with these levels, apart from policies. */
  judge(call: RiskyCall, levels: CallRisk, isRead: boolean): RiskJudgement | undefined;
  /** Counts at once, goes on the trail ahead of whatever is decided after, and then has its consequence. */
  signal(signal: Signal): void;
  /** Resolves when other nodes can know what was signalled, or the store cannot be asked; undefined where there is nothing to wait for. */
  told(): Promise<void> | undefined;
  /** The same; resolves when it is on the trail, and other nodes have it. @throws what putting it there throws: it counts all the same */
  signalDurably(signal: Signal): Promise<void>;
  restore(subject: RiskSubject, score: Score): void;
  list(): ReturnType<Scores['list']>;
  /** What its level calls for is ordered, where it has not been. */
  follow(subject: RiskSubject): void;
  /** Of one subject. */
  show(subject: RiskSubject): { readonly score: number; readonly level: RiskLevel };
  /** A person has looked. To be put on the trail before. @returns whether there was a score */
  clear(subject: RiskSubject): boolean;
  forgetTask(task: TaskId): void;
  /** Whether no subject has a score and nothing is outstanding: then nothing has to be asked. */
  readonly isQuiet: boolean;
}

export function createRisk(parts: RiskParts): Risk {
  const { scores, consequences, weights, clock } = parts;

  function levelsOf({ principal, task, connector }: RiskyCall): CallRisk {
    if (scores.isEmpty) return NO_RISK;
    const now = clock();
    const { user } = principal;
    const ofTask = scores.ofKind('task', task.id, now);
    const ofConnector = scores.ofKind('connector', connector, now);
    const ofAgent = scores.ofKind('agent', principal.agent, now);
    const ofUser = user === undefined ? 'low' : scores.ofKind('user', userKey(user), now);
    if (ofTask === 'low' && ofConnector === 'low' && ofAgent === 'low' && ofUser === 'low') return NO_RISK;
    return { task: ofTask, connector: ofConnector, agent: ofAgent, user: ofUser };
  }

  function judge(call: RiskyCall, levels: CallRisk, isRead: boolean): RiskJudgement | undefined {
    const subjects = subjectsOf(call);
    for (const by of subjects) {
      const level = levels[by.kind];
      // The revocation log knows no users: theirs is asked for with each call.
      const isBarred = by.kind === 'user' && consequences.actionAt('user', level) !== undefined;
      if (isBarred || consequences.bars(by)) return { action: 'deny', by, level };
    }
    for (const by of subjects) {
      const level = levels[by.kind];
      if (level !== 'low' && consequences.holds(by.kind, level, isRead)) return { action: 'hold', by, level };
    }
    return undefined;
  }

  /** @returns undefined where nothing waits for it */
  function take(
    { kind, what, subjects, points = weights[kind], identity, cause }: Signal,
    mustBeDurable: boolean,
  ): Promise<unknown> | undefined {
    if (!(points > 0) || subjects.length === 0) return undefined;
    const now = clock();
    const after = subjects.map((subject) => ({ subject, score: scores.add(subject, points, now) }));
    const levels = subjects.map((subject) => [riskKey(subject), scores.level(subject, now)] as const);
    const entry: SignalRecord = {
      type: 'signal',
      ...identity,
      detail: {
        signal: kind,
        what,
        points,
        scores: Object.fromEntries(after.map(({ subject, score }) => [riskKey(subject), [score.score, score.at]])),
        levels: Object.fromEntries(levels),
      },
    };
    parts.count(kind);
    for (const subject of subjects) parts.shared?.tell(subject, points, cause);
    const calls = subjects.filter((subject, at) => {
      const level = levels[at]?.[1] ?? 'critical';
      return consequences.actionAt(subject.kind, level) !== undefined;
    });
    if (calls.length === 0 && !mustBeDurable) {
      parts.recordLater(entry);
      return undefined;
    }
    const recorded = parts.record(entry);
    for (const subject of calls) {
      const level = scores.level(subject, now);
      consequences.follow(subject, level, recorded, `risk ${level}: ${what}`.slice(0, 500));
    }
    return recorded;
  }

  return {
    levelsOf,
    judge,
    signal: (signal) => void take(signal, false),
    told: () => parts.shared?.told(),
    async signalDurably(signal) {
      await take(signal, true);
      await parts.shared?.exchange();
    },
    restore: (subject, score) => scores.set(subject, score, clock()),
    list() {
      scores.sweep(clock());
      return scores.list(clock());
    },
    follow(subject) {
      const level = scores.level(subject, clock());
      // The signals are on the trails of those who saw them, and the order says that it goes by all of them.
      consequences.follow(subject, level, Promise.resolve(), `risk ${level}, by signals of all nodes`);
    },
    show(subject) {
      const now = clock();
      return { score: scores.value(subject, now), level: scores.level(subject, now) };
    },
    clear(subject) {
      consequences.forget(subject);
      return scores.forget(subject);
    },
    forgetTask(id) {
      const subject = { kind: 'task', id } as const;
      consequences.forget(subject);
      if (!scores.isEmpty) scores.forget(subject);
    },
    get isQuiet() {
      return scores.isEmpty && consequences.isIdle;
    },
  };
}

function subjectsOf({ principal, task, connector }: RiskyCall): readonly RiskSubject[] {
  const subjects: RiskSubject[] = [
    { kind: 'task', id: task.id },
    { kind: 'connector', id: connector },
    { kind: 'agent', id: principal.agent },
  ];
  if (principal.user !== undefined) subjects.push({ kind: 'user', id: userKey(principal.user) });
  return subjects;
}
