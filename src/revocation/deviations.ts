import type { TaskId } from '../domain/ids.ts';
import { DEVIATION } from '../domain/revocation.ts';
import type { RevocationOrder } from './revoke.ts';

/** What a deviation led to. */
export type Consequence = 'marked' | 'suspended' | 'ended';

export interface DeviationsOptions {
  /** Deviations of one task, from which on it is held back. */
  readonly limit: number;
  readonly consequence: 'suspend' | 'revoke';
  /** Durable before anything follows from it. */
  readonly record: (task: TaskId, detail: Readonly<Record<string, unknown>>) => Promise<unknown>;
  readonly order: (order: RevocationOrder) => Promise<unknown>;
}

export interface Deviations {
  /**
   * A task did what it was not started for. Each is put on its record; with the `limit`th the task is suspended or ended, its credentials with
   * it. What counts as one is for who decides on calls; a gateway that starts anew begins counting anew.
   * @param isGrave has the consequence whatever the count
   * @throws what `record` and `order` throw: whoever asks denies
   */
  deviated(task: TaskId, what: string, isGrave?: boolean): Promise<Consequence>;
  forgetTask(task: TaskId): void;
}

export function createDeviations({ limit, consequence: last, record, order }: DeviationsOptions): Deviations {
  const counts = new Map<TaskId, number>();
  return {
    async deviated(task, what, isGrave = false) {
      const count = (counts.get(task) ?? 0) + 1;
      counts.set(task, count);
      const consequence = count < limit && !isGrave ? 'marked' : last === 'suspend' ? 'suspended' : 'ended';
      await record(task, { what, count, limit, consequence });
      if (consequence !== 'marked') {
        const reason = `${count} deviations, the last: ${what}`;
        await order({ action: last, subject: { kind: 'task', id: task }, by: DEVIATION, reason });
      }
      return consequence;
    },
    forgetTask: (task) => void counts.delete(task),
  };
}
