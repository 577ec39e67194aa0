import { agentId, connectorId, leaseId, taskId, traceId } from '../../src/domain/ids.ts';
import type { ObservedCall } from '../../src/seams/telemetry.ts';

export const CALL: ObservedCall = {
  trace: traceId('0af7651916cd43dd8448eb211c80319c'),
  span: 'b7ad6b7169203331',
  link: undefined,
  task: taskId('tsk_a'),
  agent: agentId('bot'),
  method: 'tools/call',
  item: { kind: 'tool', connector: connectorId('shop'), name: 'query' },
  lease: leaseId('lse_a'),
  session: 's1',
  protocolVersion: '2025-11-25',
  requestId: 7,
  verdict: 'permit',
  gate: undefined,
  status: 'ok',
  code: undefined,
  startedAt: 1_000,
  endedAt: 1_250,
};
