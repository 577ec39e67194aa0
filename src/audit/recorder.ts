import { RemitError } from '../domain/errors.ts';
import type { TaskId, TenantId } from '../domain/ids.ts';
import type { AuditRecord, SealedContent } from '../domain/record.ts';
import type { Clock } from '../seams/clock.ts';
import type { Journal } from '../seams/journal.ts';

/** What a feature says of an event; the recorder adds time and tenant, the log its position. */
export interface RecordEntry extends Omit<AuditRecord, 'seq' | 'time' | 'tenant'> {
  /** Decision inputs in the clear, JSON text: sealed before they are written, never written as they are. */
  readonly input?: string;
}

/** Seals decision inputs under the key of their task (`sealContent` with the key looked up). */
export type SealInput = (of: { tenant: TenantId; task: TaskId; span: string; text: string }) => SealedContent;

export interface Recorder {
  /**
   * Writes one record; resolves with its `seq` once it is durable.
   * @throws what `Journal.append` throws; `ERR_INTERNAL` (an input that cannot be sealed): callers deny
   */
  record(entry: RecordEntry): Promise<number>;
}

export function createRecorder(parts: {
  journal: Journal;
  clock: Clock;
  tenant: TenantId;
  seal?: SealInput;
}): Recorder {
  const { journal, clock, tenant, seal } = parts;
  const sealInput = (entry: RecordEntry, text: string): SealedContent => {
    const { task, span, sealed } = entry;
    if (seal === undefined || task === undefined || span === undefined || sealed !== undefined) {
      throw new RemitError(
        'ERR_INTERNAL',
        'decision inputs need a task, a span and a key of the task to be sealed under',
      );
    }
    return seal({ tenant, task, span, text });
  };
  return {
    async record(entry) {
      const sealed = entry.input === undefined ? entry.sealed : sealInput(entry, entry.input);
      // Field by field: time and tenant are never the caller's, and what is undefined is left out by JSON.
      const { type, trace, span, user, agent, actors, workload, connector, tool, task, lease, detail } = entry;
      const identity = { trace, span, user, agent, actors, workload, connector, tool, task, lease };
      const time = new Date(clock()).toISOString();
      return await journal.append(Buffer.from(JSON.stringify({ time, type, tenant, ...identity, detail, sealed })));
    },
  };
}
