import type { RecordEntry } from '../../src/audit/recorder.ts';
import {
  agentId,
  connectorId,
  leaseId,
  type TaskId,
  taskId,
  tenantId,
  toolRef,
  traceId,
} from '../../src/domain/ids.ts';
import type { Journal } from '../../src/seams/journal.ts';

export const TENANT = tenantId('default');
export const NOW = Date.UTC(2026, 0, 2, 3, 4, 5, 678);
export const TASK = taskId('tsk_a');

/** Everything that A2 wants on a record. */
export const IDENTITY = {
  trace: traceId('0af7651916cd43dd8448eb211c80319c'),
  span: 'b7ad6b7169203331',
  user: 'https://idp.example.org#alice',
  agent: agentId('triage-bot'),
  actors: [agentId('helper')],
  workload: 'private_key_jwt:abc',
  connector: connectorId('shop_db'),
  tool: toolRef(connectorId('shop_db'), 'query'),
  task: TASK,
  lease: leaseId('lse_a'),
} as const;

export function decision(task: TaskId, span: string, detail: object = {}): RecordEntry {
  return { ...IDENTITY, type: 'decision', task, span, detail: { verdict: 'permit', effect: 'call', ...detail } };
}

/** A journal in memory, for what does not depend on files. */
export function memoryJournal(): Journal & { readonly payloads: Buffer[] } {
  const payloads: Buffer[] = [];
  return {
    payloads,
    append: async (payload) => payloads.push(Buffer.from(payload)) - 1,
    appendLater: (payload) => void payloads.push(Buffer.from(payload)),
    get size() {
      return payloads.length;
    },
    async *read(from) {
      for (const [position, payload] of payloads.entries()) if (position >= from) yield { position, payload };
    },
    checkpoint: async () => {},
    close: async () => {},
  };
}

export async function collect<T>(items: AsyncIterable<T>): Promise<T[]> {
  const all: T[] = [];
  for await (const item of items) all.push(item);
  return all;
}
