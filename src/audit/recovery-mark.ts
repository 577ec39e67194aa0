import { RemitError } from '../domain/errors.ts';
import { readRemembered } from '../domain/flow.ts';
import type { TaskId } from '../domain/ids.ts';
import { isJsonObject } from '../domain/json.ts';
import { readLogPosition } from '../domain/log-position.ts';
import type { AuditRecord } from '../domain/record.ts';
import { readRiskKey, readScore } from '../domain/risk.ts';
import { readSeenHead } from '../domain/trail-head.ts';
import { emptyTrailState, type KnownTask, NOTHING_LEFT, type OpenOperation, type TrailState } from './trail-state.ts';

/**
 * A record that holds the trail's state as of a position, so that a start reads from there on (`recovery_mark`). It is on the trail like any
 * other: what it says is under the same signatures as what it sums up.
 */

/** Detail of a mark. A task is `[first record, calls, prompt, flow, parent]`, the last three left out or null where there is none, or `[first record]` for one that has ended and whose credentials have not. */
export function markDetail(state: TrailState): AuditRecord['detail'] {
  const tasks = [...state.tasks].map(([id, known]) => [id, taskFacts(known)]);
  return {
    upTo: state.upTo,
    tasks: Object.fromEntries(tasks) as Record<string, unknown>,
    open: Object.fromEntries([...state.open].map(([key, { seq }]) => [key, seq])),
    removedBefore: state.removedBefore,
    ...(state.risks.size > 0 && {
      risks: Object.fromEntries([...state.risks].map(([subject, { score, at }]) => [subject, [score, at]])),
    }),
    ...(state.shipped !== undefined && { shipped: [state.shipped.to, state.shipped.before] }),
    ...(state.log !== undefined && { log: { position: state.log.position, ...state.log.row } }),
    ...(state.heads.size > 0 && { seen: [...state.heads.values()].map(({ origin: _, ...head }) => head) }),
  };
}

function taskFacts({ from, calls, prompt, flow, parent, hasEnded }: KnownTask): readonly unknown[] {
  if (hasEnded) return [from];
  if (parent !== undefined) return [from, calls, prompt ?? null, flow ?? null, parent];
  if (flow !== undefined) return [from, calls, prompt ?? null, flow];
  return prompt === undefined ? [from, calls] : [from, calls, prompt];
}

/** @throws `ERR_JOURNAL_DAMAGED` for a mark that cannot be true */
export function readMark({ seq, detail }: AuditRecord): TrailState {
  const { upTo, tasks, open, removedBefore, risks = {}, seen = [], shipped, log } = detail;
  const state = emptyTrailState();
  if (
    !isPosition(upTo, seq) ||
    !isPosition(removedBefore, upTo) ||
    !isJsonObject(tasks) ||
    !isJsonObject(open) ||
    !isJsonObject(risks) ||
    !Array.isArray(seen)
  ) {
    throw falseMark(seq, 'it is no sum of what is before it');
  }
  for (const [id, facts] of Object.entries(tasks)) {
    const known = readTask(facts, upTo);
    if (known === undefined) throw falseMark(seq, `of ${id} it says what cannot be`);
    state.tasks.set(id as TaskId, known);
  }
  for (const [key, at] of Object.entries(open)) {
    if (!isPosition(at, upTo - 1)) throw falseMark(seq, `of ${key} it says what cannot be`);
    state.open.set(key, { seq: at, unknown: undefined } satisfies OpenOperation);
  }
  for (const [subject, said] of Object.entries(risks)) {
    const score = readScore(said);
    if (score === undefined || readRiskKey(subject) === undefined)
      throw falseMark(seq, `of ${subject} it says what cannot be`);
    state.risks.set(subject, score);
  }
  for (const said of seen) {
    const head = readSeenHead(said);
    if (head === undefined) throw falseMark(seq, 'of another node’s journal it says what cannot be');
    state.heads.set(head.origin, head);
  }
  if (shipped !== undefined) {
    const [to, before] = Array.isArray(shipped) ? (shipped as unknown[]) : [];
    if (typeof to !== 'string' || !isPosition(before, upTo))
      throw falseMark(seq, 'of what was shipped it says what cannot be');
    state.shipped = { to, before };
  }
  if (log !== undefined) {
    state.log = readLogPosition(log);
    if (state.log === undefined) throw falseMark(seq, 'of the revocation log it says what cannot be');
  }
  return Object.assign(state, { upTo, removedBefore });
}

/** The fault for a mark that says something else than the records that it sums up. */
export function falseMark(seq: number, what: string): RemitError {
  return new RemitError('ERR_JOURNAL_DAMAGED', `the recovery mark is not true: ${what}`, {
    where: `record ${seq}`,
    hint: 'Run `remit audit verify` and keep the folder as evidence: another program, or a newer Remit, wrote it.',
  });
}

function readTask(facts: unknown, upTo: number): KnownTask | undefined {
  if (!Array.isArray(facts)) return undefined;
  const [from, calls, said, read = null, parent] = facts as unknown[];
  const prompt = said ?? undefined;
  const flow = read === null ? undefined : readRemembered(read);
  // As much as the sum's end: a task whose first record is yet to come, or was taken by a crash.
  if (!isPosition(from, upTo)) return undefined;
  if (facts.length === 1) return { from, ...NOTHING_LEFT, hasEnded: true };
  // More than there are records, where other nodes made calls of it.
  if (!isPosition(calls, Number.MAX_SAFE_INTEGER) || (prompt !== undefined && typeof prompt !== 'string'))
    return undefined;
  // Of a label that cannot be read it is not known what it held back.
  if (read !== null && flow === undefined) return undefined;
  if (parent !== undefined && typeof parent !== 'string') return undefined;
  return { from, calls, prompt, flow, parent: parent as TaskId | undefined, hasEnded: false };
}

const isPosition = (value: unknown, most: number): value is number =>
  Number.isSafeInteger(value) && (value as number) >= 0 && (value as number) <= most;
