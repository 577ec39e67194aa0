import type { AgentId, TaskId } from '../domain/ids.ts';
import { type Principal, userKey } from '../domain/principal.ts';
import type { RiskSubject, SignalKind } from '../domain/risk.ts';
import type { Task } from '../domain/task.ts';
import type { GovernedTool } from '../domain/tool.ts';
import type { Clock } from '../seams/clock.ts';
import type { Risk, Signal } from './create-risk.ts';
import type { History, Past } from './history.ts';

/** A call as it is watched, whatever is decided of it. */
export interface WatchedCall {
  readonly principal: Principal;
  readonly task: Task;
  readonly item: GovernedTool;
  readonly span: string;
  /** Whom it reaches outside, as given; none for most calls. */
  readonly destinations: readonly string[];
}

/** Sees signals in the calls of tasks. */
export interface CallWatch {
  /** Whether a call that reaches nobody is of the same task and item as the one before: then there is nothing to see. */
  isUsual(task: Task, item: GovernedTool): boolean;
  /** Before it is decided on, so that the decision knows. */
  attempt(call: WatchedCall): void;
  /** Whether anything was seen for the first time of which nothing has been permitted yet. */
  readonly hasNew: boolean;
  /** It may be made: what was new of it is new no more. */
  permitted(call: WatchedCall): void;
  denied(task: Task, principal: Principal, rule: string, item: GovernedTool | undefined): void;
  /** Untrusted text has been read. */
  tainted(call: WatchedCall): void;
  forgetTask(task: TaskId): void;
}

export interface WatchParts {
  readonly risk: Pick<Risk, 'signal'>;
  readonly weights: Readonly<Record<SignalKind, number>>;
  /** So many denials of one task within so long are a burst. */
  readonly burst: { readonly count: number; readonly windowMs: number };
  readonly history: History;
  /** Until a history is so old, everything new in it is only noted. */
  readonly learnMs: number;
  /** Keyed: a destination is nobody's business. */
  readonly digest: (destination: string) => string;
  /** Undefined of an agent whose owner has stated no hours. */
  readonly offHoursOf: (agent: AgentId) => ((now: number) => boolean) | undefined;
  readonly clock: Clock;
}

interface Watched {
  readonly past: Past;
  readonly noticed: Set<string>;
  denials: number[];
  isTainted: boolean;
  hoursCheckedUntil: number;
  isOffHours: boolean;
}

const HOURS_CHECK_MS = 60_000;
const MOST_NOTICED = 1_000;

export function createCallWatch(parts: WatchParts): CallWatch {
  const { risk, weights, burst, history, learnMs, digest, offHoursOf, clock } = parts;
  const watched = new Map<TaskId, Watched>();
  const looksForNew = weights.novel_tool > 0 || weights.novel_destination > 0;
  let lastTask: Task | undefined;
  let lastItem: GovernedTool | undefined;
  /** Things seen for the first time whose call may be permitted in a moment. */
  let unlearned = 0;

  function watch(task: Task): Watched {
    let found = watched.get(task.id);
    if (found === undefined) {
      const past = history.of(`agent ${task.agent} ${task.template}`, clock());
      const offHours = { hoursCheckedUntil: Number.NEGATIVE_INFINITY, isOffHours: false };
      found = { past, noticed: new Set(), denials: [], isTainted: false, ...offHours };
      watched.set(task.id, found);
    }
    return found;
  }

  function tell(
    kind: SignalKind,
    what: string,
    call: Pick<WatchedCall, 'principal' | 'task'> & Partial<WatchedCall>,
    more: readonly RiskSubject[] = [],
  ): void {
    const { principal, task, item, span } = call;
    const identity: Signal['identity'] = {
      trace: task.trace,
      ...(span !== undefined && { span }),
      ...(principal.user && { user: userKey(principal.user) }),
      agent: principal.agent,
      task: task.id,
      ...(item && { connector: item.connector, tool: item.ref }),
    };
    risk.signal({ kind, what, subjects: [{ kind: 'task', id: task.id }, ...more], identity });
  }

  function notice(found: Watched, call: WatchedCall, kind: 'tool' | 'destination', value: string): void {
    const key = `${kind} ${value}`;
    if (found.past.has(kind, value) || found.noticed.has(key)) return;
    if (found.noticed.size < MOST_NOTICED) {
      found.noticed.add(key);
      unlearned += 1;
    }
    if (clock() - found.past.since < learnMs) return;
    const of = `${call.task.agent} has not used under ${call.task.template} before`;
    if (kind === 'tool') tell('novel_tool', `${call.item.ref}, which ${of}`, call);
    else tell('novel_destination', `a destination of ${call.item.ref} that ${of}`, call);
  }

  function checkHours(found: Watched, call: WatchedCall, offHours: (now: number) => boolean): void {
    const now = clock();
    if (now < found.hoursCheckedUntil) return;
    found.hoursCheckedUntil = now + HOURS_CHECK_MS;
    const was = found.isOffHours;
    found.isOffHours = offHours(now);
    if (found.isOffHours && !was) tell('off_hours', `a call outside of the hours of ${call.task.agent}`, call);
  }

  return {
    isUsual: (task, item) => task === lastTask && item === lastItem,
    attempt(call) {
      const { task, item, destinations } = call;
      const offHours = weights.off_hours > 0 ? offHoursOf(task.agent) : undefined;
      // With hours to look at, no call is like the one before.
      if (offHours === undefined) [lastTask, lastItem] = [task, item];
      if (!looksForNew && offHours === undefined) return;
      const found = watch(task);
      if (offHours !== undefined) checkHours(found, call, offHours);
      if (!looksForNew) return;
      notice(found, call, 'tool', item.ref);
      for (const one of destinations) notice(found, call, 'destination', digest(one));
    },
    get hasNew() {
      return unlearned > 0;
    },
    permitted({ task, item, destinations }) {
      const found = watched.get(task.id);
      if (found === undefined) return;
      const learn = (kind: 'tool' | 'destination', value: string): void => {
        const key = `${kind} ${value}`;
        if (!found.noticed.has(key) || !found.past.add(kind, value, clock())) return;
        found.noticed.delete(key);
        unlearned -= 1;
      };
      learn('tool', item.ref);
      for (const one of destinations) learn('destination', digest(one));
    },
    denied(task, principal, rule, item) {
      if (!(weights.denials > 0)) return;
      const found = watch(task);
      const now = clock();
      found.denials = [...found.denials, now].filter((at) => now - at < burst.windowMs);
      if (found.denials.length < burst.count) return;
      found.denials = [];
      const seconds = Math.round(burst.windowMs / 1_000);
      const what = `${burst.count} denials within ${seconds} s, the last: ${rule}${item === undefined ? '' : ` ${item.ref}`}`;
      tell('denials', what, { principal, task, ...(item && { item }) }, [{ kind: 'agent', id: task.agent }]);
    },
    tainted(call) {
      if (!(weights.taint > 0)) return;
      const found = watch(call.task);
      if (found.isTainted) return;
      found.isTainted = true;
      tell('taint', 'untrusted text was read', call);
    },
    forgetTask(task) {
      const found = watched.get(task);
      if (found === undefined) return;
      // Never permitted: it is as new as before.
      unlearned -= found.noticed.size;
      watched.delete(task);
      if (lastTask?.id === task) lastTask = lastItem = undefined;
    },
  };
}
