import type { LeaseId, TaskId, TraceId } from '../domain/ids.ts';
import type { AuditRecord, RecordType } from '../domain/record.ts';
import { isFirstOfTask } from './recorded-task.ts';

/** What a story is about: one call (or listing, or question), one task, or one credential. */
export type StorySubject =
  | { readonly kind: 'call'; readonly span: string }
  | { readonly kind: 'task'; readonly task: TaskId }
  | { readonly kind: 'trace'; readonly trace: TraceId }
  | { readonly kind: 'lease'; readonly lease: LeaseId };

export interface Story {
  readonly subject: StorySubject;
  /** The person on whose behalf, as an identity provider vouched for them. Null: the agent acted on its own. */
  readonly human: string | null;
  /** What acted: the agent, whom it acted through, and how the running instance proved itself. */
  readonly machine: { readonly agent?: string; readonly actors: readonly string[]; readonly workload?: string };
  readonly task?: TaskId;
  readonly trace?: TraceId;
  readonly purpose?: string;
  /** RFC 3339: the time that `afterMs` counts from, that of the subject's own first record. */
  readonly start: string;
  readonly steps: readonly StoryStep[];
  /** Records in the middle that were left out of a story too long to hold. */
  readonly omitted: number;
}

export interface StoryStep {
  readonly afterMs: number;
  readonly step: string;
  readonly record: AuditRecord;
}

/** Reads the log from its start, each time anew. */
export type ReadAll = () => AsyncIterable<AuditRecord>;

/** Steps held at most: the first half and the last half of a longer story. */
const MOST_STEPS = 4_000;

/** Which of the steps of a story a record is: a prompt, what was found, decided, leased, called, what came of it, and how the right to it ended. */
const STEP: Readonly<Partial<Record<RecordType, string>>> = {
  prompt: 'prompt',
  discovery: 'discovery',
  decision: 'decision',
  credential_intended: 'lease',
  credential_issued: 'lease',
  credential_used: 'call',
  outcome: 'outcome',
  approval_requested: 'approval',
  approval_verdict: 'approval',
  approval_used: 'approval',
  approval_ended: 'approval',
  revocation: 'revocation',
  task_started: 'task',
  task_adopted: 'task',
  task_suspended: 'task',
  task_resumed: 'task',
  task_ended: 'task',
  token_issued: 'token',
};

/** Reads off an id what it is of: `tsk_…`, `lse_…`, a trace (32 hex digits) or a span (16). Undefined: of nothing. */
export function subjectOf(id: string): StorySubject | undefined {
  if (/^tsk_\w+$/.test(id)) return { kind: 'task', task: id as TaskId };
  if (/^lse_\w+$/.test(id)) return { kind: 'lease', lease: id as LeaseId };
  if (/^[0-9a-f]{32}$/.test(id)) return { kind: 'trace', trace: id as TraceId };
  if (/^[0-9a-f]{16}$/.test(id)) return { kind: 'call', span: id };
  return undefined;
}

/**
 * Everything that belongs to a call, a task or a credential, in the order of the log. Reads the log twice and holds the story alone; undefined
 * when no record is about the subject.
 */
export async function tellStory(readAll: ReadAll, subject: StorySubject): Promise<Story | undefined> {
  const facts = await findFacts(readAll(), subject);
  if (facts === undefined) return undefined;
  const { first, starting } = facts;
  const startedAt = Date.parse(first.time);
  const head: AuditRecord[] = [];
  let tail: AuditRecord[] = [];
  let omitted = 0;
  for await (const record of readAll()) {
    if (!belongs(record, subject, facts)) continue;
    if (head.length < MOST_STEPS / 2) head.push(record);
    else tail.push(record);
    if (tail.length >= MOST_STEPS) {
      omitted += tail.length - MOST_STEPS / 2;
      tail = tail.slice(-MOST_STEPS / 2);
    }
  }
  const who = facts.who;
  const purpose = starting?.detail.purpose ?? first.detail.purpose;
  return {
    subject,
    human: who.user ?? null,
    machine: {
      ...(who.agent !== undefined && { agent: who.agent }),
      actors: who.actors ?? [],
      ...(who.workload !== undefined && { workload: who.workload }),
    },
    ...(who.task !== undefined && { task: who.task }),
    ...(who.trace !== undefined && { trace: who.trace }),
    ...(typeof purpose === 'string' && { purpose }),
    start: first.time,
    steps: [...head, ...tail].map((record) => ({
      afterMs: Date.parse(record.time) - startedAt,
      step: STEP[record.type] ?? record.type,
      record,
    })),
    omitted,
  };
}

/** What the first reading finds out, so that the second can tell what belongs to the story. */
interface Facts {
  /** First record of the subject itself. */
  readonly first: AuditRecord;
  /** The one that says most of who acted. */
  readonly who: AuditRecord;
  readonly starting: AuditRecord | undefined;
  readonly leases: ReadonlySet<LeaseId>;
  /** Of a call: the listing before it, the prompt that its decision names, the token that it was made with. */
  readonly listing: number | undefined;
  readonly prompt: unknown;
  readonly token: unknown;
}

async function findFacts(records: AsyncIterable<AuditRecord>, subject: StorySubject): Promise<Facts | undefined> {
  /** Of each task that may turn out to be the one: its start and its last listing so far. Ended tasks are forgotten. */
  const starts = new Map<TaskId, AuditRecord>();
  const listings = new Map<TaskId, number>();
  const leases = new Set<LeaseId>();
  let first: AuditRecord | undefined;
  let who: AuditRecord | undefined;
  let starting: AuditRecord | undefined;
  let listing: number | undefined;
  let prompt: unknown;
  let token: unknown;
  for await (const record of records) {
    const { type, task } = record;
    if (first === undefined && task !== undefined) {
      if (isFirstOfTask(record)) starts.set(task, record);
      else if (type === 'discovery' && record.span !== undefined) listings.set(task, record.seq);
    }
    if (isAbout(record, subject)) {
      if (first === undefined && task !== undefined) {
        starting = starts.get(task);
        if (subject.kind === 'call' && type === 'decision') listing = listings.get(task);
      }
      first ??= record;
      // Only a call's own records name the running instance.
      if (who === undefined || (who.workload === undefined && record.workload !== undefined)) who = record;
      if (record.lease !== undefined) leases.add(record.lease);
      if (type === 'decision') {
        prompt ??= record.detail.prompt;
        token ??= record.detail.token;
      }
    }
    if (type === 'task_ended' && task !== undefined) {
      starts.delete(task);
      listings.delete(task);
    }
  }
  if (first === undefined || who === undefined) return undefined;
  return { first, who, starting, leases, listing, prompt, token };
}

/** Whether it is a record of the subject itself. */
export function isAbout(record: AuditRecord, subject: StorySubject): boolean {
  switch (subject.kind) {
    case 'call':
      return record.span === subject.span;
    case 'task':
      return record.task === subject.task;
    case 'trace':
      return record.trace === subject.trace;
    case 'lease':
      return record.lease === subject.lease;
  }
}

/** Besides the subject's own records: what led to them and what became of the right that they used. */
function belongs(record: AuditRecord, subject: StorySubject, facts: Facts): boolean {
  if (isAbout(record, subject)) return true;
  if (subject.kind === 'task' || subject.kind === 'trace') return false;
  const { type, task, span, lease, detail } = record;
  if (task === undefined || task !== facts.first.task) return false;
  if (type.startsWith('task_') || type === 'deviation') return true;
  if (subject.kind === 'lease') return false;
  if (record.seq === facts.listing) return true;
  if (lease !== undefined && span === undefined) return facts.leases.has(lease);
  if (type === 'token_issued') return facts.token !== undefined && detail.token === facts.token;
  return type === 'prompt' && facts.prompt !== undefined && detail.digest === facts.prompt;
}
