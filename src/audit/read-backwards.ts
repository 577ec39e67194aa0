import type { TaskId } from '../domain/ids.ts';
import type { AuditRecord } from '../domain/record.ts';
import { decodeRecord } from './decode-record.ts';
import type { Payloads } from './read-records.ts';
import { isWanted, type RecordFilter } from './record-filter.ts';
import { isFirstOfTask } from './recorded-task.ts';
import { isAbout, type StorySubject } from './tell-story.ts';

/** A trail that can be read from its end, a run of records at a time. */
export interface RunReader {
  readonly read: (from: number) => Payloads;
  /** Positions at which reading can begin at no cost, oldest first. */
  readonly starts: () => Promise<readonly number[]>;
}

interface Run {
  readonly start: number;
  readonly payloads: () => Payloads;
}

/** Runs from the newest to the oldest; within each, payloads in order. */
export async function* runsBackwards({ read, starts }: RunReader): AsyncGenerator<Run, void> {
  const all = await starts();
  for (let index = all.length - 1; index >= 0; index -= 1) {
    const start = all[index] as number;
    const end = all[index + 1] ?? Number.POSITIVE_INFINITY;
    yield { start, payloads: () => until(read(start), end) };
  }
}

async function* until(payloads: Payloads, end: number): AsyncGenerator<{ position: number; payload: Buffer }, void> {
  for await (const item of payloads) {
    if (item.position >= end) return;
    yield item;
  }
}

/**
 * The newest records that are wanted, in order: reads from the end of the trail until there are enough.
 * @returns also the position behind the last record that there was
 */
export async function readNewest(
  reader: RunReader,
  count: number,
  filter: RecordFilter,
): Promise<{ records: AuditRecord[]; next: number }> {
  let records: AuditRecord[] = [];
  let next: number | undefined;
  for await (const { start, payloads } of runsBackwards(reader)) {
    const found: AuditRecord[] = [];
    let end = start;
    for await (const { position, payload } of payloads()) {
      end = position + 1;
      const record = decodeRecord(position, payload);
      if (isWanted(record, filter)) found.push(record);
      if (found.length > count - records.length) found.shift();
    }
    next ??= end;
    records = [...found, ...records];
    if (records.length >= count) break;
  }
  return { records, next: next ?? 0 };
}

/**
 * From where on a story has to be read: nothing of it is older than the start of its task. Reads from the end of the trail; undefined when no record
 * is about the subject.
 */
export async function findStoryStart(reader: RunReader, subject: StorySubject): Promise<number | undefined> {
  const name = nameOf(subject);
  let task: TaskId | undefined;
  for await (const { start, payloads } of runsBackwards(reader)) {
    if (task === undefined) {
      const about = await findRecord(payloads(), name, (record) => isAbout(record, subject));
      if (about === undefined) continue;
      // Of no task, or of a trace that several tasks may share: nothing says how far back it goes.
      if (about.task === undefined || subject.kind === 'trace') return 0;
      task = about.task;
    }
    let began: AuditRecord | undefined;
    do {
      const of: TaskId = task;
      began = await findRecord(payloads(), of, (record) => isFirstOfTask(record) && record.task === of);
      // What a task may do depends on those above it.
      if (began !== undefined && typeof began.detail.parent !== 'string') return start;
      if (began !== undefined) task = began.detail.parent as TaskId;
    } while (began !== undefined);
  }
  return task === undefined ? undefined : 0;
}

/** The first record that is meant and holds a text; only those that do are read. */
async function findRecord(
  payloads: Payloads,
  text: string,
  isMeant: (record: AuditRecord) => boolean,
): Promise<AuditRecord | undefined> {
  const bytes = Buffer.from(text);
  for await (const { position, payload } of payloads) {
    if (!payload.includes(bytes)) continue;
    const record = decodeRecord(position, payload);
    if (isMeant(record)) return record;
  }
  return undefined;
}

function nameOf(subject: StorySubject): string {
  switch (subject.kind) {
    case 'call':
      return subject.span;
    case 'task':
      return subject.task;
    case 'trace':
      return subject.trace;
    case 'lease':
      return subject.lease;
  }
}
