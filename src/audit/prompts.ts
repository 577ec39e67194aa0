import { createHash } from 'node:crypto';
import type { TaskId } from '../domain/ids.ts';
import type { GivenPrompt, PromptMode } from '../domain/prompt.ts';
import type { AuditRecord } from '../domain/record.ts';
import type { Clock } from '../seams/clock.ts';
import type { RecordEntry, Recorder } from './recorder.ts';

/** Who the prompt's task belongs to: what every record of it carries. */
export type PromptOwner = Pick<AuditRecord, 'trace' | 'user' | 'agent' | 'actors' | 'workload'> & {
  readonly task: TaskId;
};

export interface PromptSource {
  /** How it came: with the task's declaration, with a request, or from a hook of the client. */
  readonly source: 'declaration' | 'request' | 'hook';
  /** The client's own id of its session, and of the prompt; for the record only. */
  readonly session?: string;
  readonly clientPromptId?: string;
}

/** Which prompt the calls of each task follow from, as their clients say. */
export interface Prompts {
  /** What a decision says of it, as JSON text to append to its detail: `,"prompt":"sha256:…"`, or nothing. Made when the prompt is set. */
  textOf(task: TaskId): string;
  /** Sets it and puts it on the record, ahead of whatever is recorded next. The same one again is nothing new. */
  noteLater(owner: PromptOwner, given: GivenPrompt, source: PromptSource): void;
  /**
   * The same, resolved once it is durable.
   * @returns false when the task has given more in this minute than are taken (guarantee I3)
   * @throws what `Recorder.record` throws: the prompt is not set then
   */
  note(owner: PromptOwner, given: GivenPrompt, source: PromptSource): Promise<boolean>;
  /** Recovery: what the journal says was set last. */
  restore(task: TaskId, digest: string): void;
  forget(task: TaskId): void;
}

const MOST_IN_WINDOW = 120;
const WINDOW_MS = 60_000;
/** UTF-16 units. A longer one is kept as its digest. */
const LONGEST_TEXT = 65_536;
const LONGEST_ID = 128;

interface Current {
  digest: string;
  text: string;
  windowEnd: number;
  inWindow: number;
}

/** @param mode `off` is the caller's business: it makes none of this */
export function createPrompts(parts: {
  mode: Exclude<PromptMode, 'off'>;
  recorder: Recorder;
  recordLater: (entry: RecordEntry) => void;
  newSpan: () => string;
  clock: Clock;
}): Prompts {
  const { mode, recorder, recordLater, newSpan, clock } = parts;
  const current = new Map<TaskId, Current>();

  function set(task: TaskId, digest: string): void {
    const known = current.get(task);
    const text = `,"prompt":${JSON.stringify(digest)}`;
    if (known === undefined) current.set(task, { digest, text, windowEnd: 0, inWindow: 0 });
    else Object.assign(known, { digest, text });
  }

  function entryOf(owner: PromptOwner, given: GivenPrompt, digest: string, about: PromptSource): RecordEntry {
    const { source, session, clientPromptId } = about;
    const text = 'text' in given && mode === 'text' ? given.text : undefined;
    const isKept = text !== undefined && text.length <= LONGEST_TEXT;
    return {
      type: 'prompt',
      ...owner,
      span: newSpan(),
      detail: {
        digest,
        source,
        ...(session !== undefined && { session: session.slice(0, LONGEST_ID) }),
        ...(clientPromptId !== undefined && { clientPromptId: clientPromptId.slice(0, LONGEST_ID) }),
        ...(text !== undefined && !isKept && { textLeftOut: `longer than ${LONGEST_TEXT} characters` }),
      },
      ...(isKept && { input: text }),
    };
  }

  function mayCome(task: TaskId): boolean {
    const known = current.get(task);
    if (known === undefined) return true;
    const now = clock();
    if (now >= known.windowEnd || now < known.windowEnd - WINDOW_MS) {
      known.windowEnd = now + WINDOW_MS;
      known.inWindow = 0;
    }
    known.inWindow += 1;
    return known.inWindow <= MOST_IN_WINDOW;
  }

  return {
    textOf: (task) => current.get(task)?.text ?? '',
    noteLater(owner, given, source) {
      const digest = digestOf(given);
      if (current.get(owner.task)?.digest === digest) return;
      recordLater(entryOf(owner, given, digest, source));
      set(owner.task, digest);
    },
    async note(owner, given, source) {
      const digest = digestOf(given);
      if (!mayCome(owner.task)) return false;
      if (current.get(owner.task)?.digest === digest) return true;
      await recorder.record(entryOf(owner, given, digest, source));
      set(owner.task, digest);
      return true;
    },
    restore: set,
    forget: (task) => void current.delete(task),
  };
}

/** SHA-256 over the UTF-8 of the prompt, exactly as it was given. */
export function digestOf(given: GivenPrompt): string {
  if ('digest' in given) return given.digest;
  return `sha256:${createHash('sha256').update(given.text, 'utf8').digest('hex')}`;
}
