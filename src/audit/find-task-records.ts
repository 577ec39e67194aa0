import type { TaskId } from '../domain/ids.ts';
import { decodeRecord } from './decode-record.ts';
import type { Payloads } from './read-records.ts';

/** Which of the tasks have records before a position. Reads them all: for a start whose mark does not know a task that the store has. */
export async function findTaskRecords(
  payloads: Payloads,
  before: number,
  tasks: ReadonlySet<TaskId>,
): Promise<ReadonlySet<TaskId>> {
  const found = new Set<TaskId>();
  const names = [...tasks].map((task) => Buffer.from(`"task":"${task}"`));
  for await (const { position, payload } of payloads) {
    if (position >= before || found.size === tasks.size) break;
    if (!names.some((name) => payload.includes(name))) continue;
    const { task } = decodeRecord(position, payload);
    if (task !== undefined && tasks.has(task)) found.add(task);
  }
  return found;
}
