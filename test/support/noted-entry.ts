import type { RecordEntry } from '../../src/audit/recorder.ts';

/** An entry as tests look at it: its detail read where it was given as text. */
export interface NotedEntry extends RecordEntry {
  readonly detail: Readonly<Record<string, unknown>>;
}

export function noteEntry(entry: RecordEntry): NotedEntry {
  const { detail } = entry;
  return { ...entry, detail: typeof detail === 'string' ? (JSON.parse(detail) as NotedEntry['detail']) : detail };
}
