import { RemitError } from '../domain/errors.ts';
import type { DecisionFlow } from '../domain/flow.ts';
import type { TaskId, TenantId } from '../domain/ids.ts';
import type { AuditRecord, SealedContent } from '../domain/record.ts';
import type { Clock } from '../seams/clock.ts';
import type { Journal } from '../seams/journal.ts';
import { createRecordEncoder } from './encode-record.ts';

/** What a feature says of an event; the recorder adds time and tenant, the log its position. */
export interface RecordEntry extends Omit<AuditRecord, 'seq' | 'time' | 'tenant' | 'detail'> {
  /** A text is the JSON of an object, for whoever has most of it from the record before. */
  readonly detail: AuditRecord['detail'] | string;
  /** Decision inputs in the clear, JSON text: sealed before they are written, never written as they are. */
  readonly input?: string;
  /** Of a decision whose detail is a text: what is permitted by it, and what the flow remembers of it. Said by the text as well. */
  readonly permits?: 'call' | 'follow' | undefined;
  readonly flow?: DecisionFlow | undefined;
}

/** Seals decision inputs under the key of their task (`ContentSealer`, found by its task). */
export type SealInput = (task: TaskId, text: string) => SealedContent;

export interface Recorder {
  /**
   * Writes one record; resolves with its `seq` once it is durable.
   * @throws what `Journal.append` throws; `ERR_INTERNAL` (an input that cannot be sealed): callers deny
   */
  record(entry: RecordEntry): Promise<number>;
}

export interface LateRecorder extends Recorder {
  /** Writes one record that nothing waits for, in order, durable within 20 ms. `onFault` is told when it cannot be written. */
  recordLater(entry: RecordEntry, onFault: (error: unknown) => void): void;
}

export function createRecorder(parts: {
  journal: Journal;
  clock: Clock;
  tenant: TenantId;
  seal?: SealInput;
  /** Told of each record as it is given to the journal, in order. */
  follow?: (position: number, entry: RecordEntry) => void;
}): LateRecorder {
  const { journal, clock, tenant, seal, follow } = parts;
  const encode = createRecordEncoder(tenant);
  const sealInput = (entry: RecordEntry, text: string): SealedContent => {
    const { task, span, sealed } = entry;
    if (seal === undefined || task === undefined || span === undefined || sealed !== undefined) {
      throw new RemitError(
        'ERR_INTERNAL',
        'decision inputs need a task, a span and a key of the task to be sealed under',
      );
    }
    return seal(task, text);
  };
  const textOf = (entry: RecordEntry): string => {
    const sealed = entry.input === undefined ? entry.sealed : sealInput(entry, entry.input);
    return encode(entry, clock(), sealed);
  };
  return {
    record(entry) {
      try {
        const text = textOf(entry);
        const position = journal.size;
        const appended = journal.append(text);
        if (follow !== undefined && journal.size > position) follow(position, entry);
        return appended;
      } catch (error) {
        return Promise.reject(error);
      }
    },
    recordLater(entry, onFault) {
      try {
        const text = textOf(entry);
        const position = journal.size;
        journal.appendLater(text, onFault);
        if (follow !== undefined && journal.size > position) follow(position, entry);
      } catch (error) {
        onFault(error);
      }
    },
  };
}
