import { type DecisionFlow, joinRemembered, type RememberedFlow } from '../domain/flow.ts';
import type { TaskId } from '../domain/ids.ts';
import { type LogPosition, readLogPosition } from '../domain/log-position.ts';
import type { AuditRecord } from '../domain/record.ts';
import { readScore, type Score } from '../domain/risk.ts';
import { MOST_ABOVE } from '../domain/task.ts';
import { readSeenHead, type SeenHead } from '../domain/trail-head.ts';
import { decodeRecord, peekType } from './decode-record.ts';
import type { RecordEntry } from './recorder.ts';
import { outcomeUnknown } from './unsettled.ts';

/** A task that has records: what a restarted gateway must know of it. */
export interface KnownTask {
  /** Position of its first record. */
  readonly from: number;
  /** Permitted calls: what its call budget has been charged. */
  calls: number;
  /** Digest of the prompt that it followed from last. */
  prompt: string | undefined;
  /** What it and its children have read: the worst that their intents say. Of the task at the top of a family. */
  flow: RememberedFlow | undefined;
  /** The task that it is a child of, whose budget its calls take of as well. */
  parent: TaskId | undefined;
  hasEnded: boolean;
}

/** A permitted operation without an outcome. */
export interface OpenOperation {
  /** Position of its decision. */
  readonly seq: number;
  /** What recovery writes for it; undefined where it is known by a mark alone, and not read yet. */
  readonly unknown: RecordEntry | undefined;
}

/**
 * What the trail says of the present, as of a position: the journal is the authority on what happened. Made by `foldPayload` of the records from
 * the first one on, or of a mark and those behind it.
 */
export interface TrailState {
  /** Everything before it is folded in. */
  upTo: number;
  /** By span; `#` and the position where there is none. A crash came between a decision and its outcome (A1), or it is under way. */
  readonly open: Map<string, OpenOperation>;
  readonly tasks: Map<TaskId, KnownTask>;
  /** Risk of each subject as the last signal about it left it, by `riskKey`. */
  readonly risks: Map<string, Score>;
  /** Newest checkpoint of each other node's journal that was recorded here, by origin. */
  readonly heads: Map<string, SeenHead>;
  /** The archive that closed segments go to, and the position before which all are there; the last that a record says. */
  shipped: { readonly to: string; readonly before: number } | undefined;
  /** How far the revocation log was read; the last that a record says. */
  log: LogPosition | undefined;
  /** All records before it were announced as removed. */
  removedBefore: number;
}

export function emptyTrailState(): TrailState {
  return {
    upTo: 0,
    open: new Map(),
    tasks: new Map(),
    risks: new Map(),
    heads: new Map(),
    shipped: undefined,
    log: undefined,
    removedBefore: 0,
  };
}

/** What has an outcome once it is permitted: a call, what follows from one, a question to a client. Only a call takes of the budget. */
const SETTLED: ReadonlySet<unknown> = new Set(['call', 'follow', 'ask']);

/** Administrative action by which a person goes on with a store that is older than the trail. */
export const SET_BACK_ACCEPTED = 'store_set_back_accept';

/** Types that change the state. */
const FOLDED: ReadonlySet<string> = new Set([
  'decision',
  'outcome',
  'prompt',
  'task_started',
  'task_adopted',
  'task_ended',
  'records_removed',
  'signal',
  'administration',
  'checkpoint_seen',
  'segment_shipped',
  'revocation_applied',
  'gateway_started',
]);

/**
 * Folds the next record in. What is open is kept, what is over is forgotten.
 * @throws `ERR_JOURNAL_DAMAGED` for a payload that is not a record
 */
export function foldPayload(state: TrailState, position: number, payload: Buffer): void {
  const type = peekType(payload);
  // Most records are of other types: to know that costs a fraction of reading them.
  if (type === undefined || FOLDED.has(type)) foldDecoded(state, decodeRecord(position, payload));
  state.upTo = position + 1;
}

function foldDecoded(state: TrailState, record: AuditRecord): void {
  foldRecord(state, record, record.type === 'decision' ? outcomeUnknown(record) : undefined);
}

/**
 * Folds a record in that is just being given to the journal, so that a mark need not read it again. One of which its entry says too little, and
 * all behind it, are left to be read.
 */
export function foldEntry(state: TrailState, position: number, entry: RecordEntry): void {
  if (position !== state.upTo) return;
  const { detail, type } = entry;
  // The two of each call come first, and nothing is made for them.
  if (type === 'outcome') foldOutcome(state, entry);
  else if (type === 'decision' && typeof detail === 'string')
    foldDecision(state, entry, position, entry.permits, entry.flow, undefined);
  else if (FOLDED.has(type)) {
    if (typeof detail === 'string') return;
    foldRecord(state, { ...entry, detail, seq: position }, undefined);
  }
  state.upTo = position + 1;
}

type Folded = Pick<AuditRecord, 'type' | 'task' | 'seq' | 'span' | 'detail'>;

function foldDecision(
  state: TrailState,
  { task, span }: Pick<Folded, 'task' | 'span'>,
  seq: number,
  effect: unknown,
  flow: unknown,
  unknown: RecordEntry | undefined,
): void {
  if (!SETTLED.has(effect)) return;
  state.open.set(span ?? `#${seq}`, { seq, unknown });
  if (effect === 'call') charge(state, task, seq);
  if (task !== undefined && flow !== undefined) foldFlow(state, task, seq, flow as DecisionFlow);
}

function foldOutcome({ open }: TrailState, { span }: Pick<Folded, 'span'>): void {
  if (span !== undefined) open.delete(span);
}

function foldRecord(state: TrailState, record: Folded, unknown: RecordEntry | undefined): void {
  const { tasks } = state;
  const { type, task, seq, detail } = record;
  switch (type) {
    case 'decision':
      if (detail.verdict === 'permit') foldDecision(state, record, seq, detail.effect, detail.flow, unknown);
      return;
    case 'outcome':
      foldOutcome(state, record);
      return;
    case 'prompt':
      if (task !== undefined) knownTask(state, task, seq).prompt = String(detail.digest);
      return;
    case 'task_started':
      if (task !== undefined) knownTask(state, task, seq).parent = parentOf(detail);
      return;
    case 'task_adopted': {
      if (task === undefined) return;
      const known = knownTask(state, task, seq);
      known.parent = parentOf(detail);
      // What another node has counted of it stands nowhere else in this journal.
      known.calls = Math.max(known.calls, Number(detail.used) || 0);
      return;
    }
    case 'task_ended': {
      const known = task === undefined ? undefined : tasks.get(task);
      if (task !== undefined) state.risks.delete(`task ${task}`);
      if (known !== undefined) Object.assign(known, { ...NOTHING_LEFT, hasEnded: true });
      return;
    }
    case 'records_removed':
      state.removedBefore = Math.max(state.removedBefore, Number(detail.end));
      return;
    case 'signal':
      foldSignal(state, detail);
      return;
    case 'administration':
      if (detail.action === 'risk_clear') state.risks.delete(String(detail.subject));
      if (detail.action === SET_BACK_ACCEPTED) state.log = readLogPosition(detail.log);
      return;
    case 'revocation_applied':
      state.log = readLogPosition(detail);
      return;
    case 'gateway_started':
      if (Number(detail.revocations) > (state.log?.position ?? 0))
        state.log = readLogPosition({ position: detail.revocations });
      return;
    case 'segment_shipped':
      state.shipped = { to: String(detail.to), before: Number(detail.end) };
      return;
    case 'checkpoint_seen':
      for (const said of Array.isArray(detail.seen) ? detail.seen : []) foldHead(state, said);
      return;
  }
}

/** Of a task that has done nothing, or can do nothing more. */
export const NOTHING_LEFT = { calls: 0, prompt: undefined, flow: undefined, parent: undefined } as const;

function charge(state: TrailState, task: TaskId | undefined, seq: number): void {
  let at = task;
  for (let depth = 0; at !== undefined && depth < MOST_ABOVE; depth += 1) {
    const known: KnownTask = knownTask(state, at, seq);
    known.calls += 1;
    at = known.parent;
  }
}

const parentOf = ({ parent }: Folded['detail']): TaskId | undefined =>
  typeof parent === 'string' ? (parent as TaskId) : undefined;

function foldFlow(state: TrailState, task: TaskId, seq: number, said: DecisionFlow): void {
  const top = knownTask(state, said.family ?? task, seq);
  if (!top.hasEnded) top.flow = joinRemembered(top.flow, said);
}

/** A record says each subject's score after it: whatever half-life holds by now, what was durable is what counts. */
function foldSignal({ risks }: TrailState, { scores }: Folded['detail']): void {
  for (const [subject, said] of Object.entries((scores ?? {}) as Record<string, unknown>)) {
    const score = readScore(said);
    if (score === undefined) continue;
    // Those that were moved last stand last; of ten thousand the first has long decayed (guarantee I3).
    risks.delete(subject);
    risks.set(subject, score);
    const [oldest] = risks.keys();
    if (risks.size > MOST_RISKS && oldest !== undefined) risks.delete(oldest);
  }
}

function foldHead({ heads }: TrailState, said: unknown): void {
  const head = readSeenHead(said);
  if (head === undefined || head.size < (heads.get(head.origin)?.size ?? 0)) return;
  // Those that were seen last stand last (guarantee I3).
  heads.delete(head.origin);
  heads.set(head.origin, head);
  const [oldest] = heads.keys();
  if (heads.size > MOST_HEADS && oldest !== undefined) heads.delete(oldest);
}

const MOST_HEADS = 256;

const MOST_RISKS = 10_000;

function knownTask({ tasks }: TrailState, id: TaskId, seq: number): KnownTask {
  let known = tasks.get(id);
  if (known === undefined) {
    known = { from: seq, ...NOTHING_LEFT, hasEnded: false };
    tasks.set(id, known);
  }
  return known;
}
