import { describe, expect, it } from 'vitest';
import { connectorId } from '../../src/domain/ids.ts';
import { callSpan, taskSpan } from '../../src/telemetry/render-span.ts';
import { makeTask } from '../support/fake-gateway-parts.ts';
import { CALL } from './samples.ts';

describe('the span of a call', () => {
  it('has the names of the conventions, and the ids of the records', () => {
    expect(callSpan(CALL)).toEqual({
      name: 'tools/call query',
      kind: 'server',
      trace: CALL.trace,
      span: CALL.span,
      parent: '0af7651916cd43dd',
      link: undefined,
      startedAt: 1_000,
      endedAt: 1_250,
      isError: false,
      attributes: {
        'mcp.method.name': 'tools/call',
        'mcp.session.id': 's1',
        'mcp.protocol.version': '2025-11-25',
        'jsonrpc.request.id': '7',
        'gen_ai.operation.name': 'execute_tool',
        'gen_ai.tool.name': 'query',
        'gen_ai.agent.id': 'bot',
        'remit.connector': 'shop',
        'remit.task': 'tsk_a',
        'remit.lease': 'lse_a',
        'remit.verdict': 'permit',
        'remit.status': 'ok',
      },
    });
  });

  it.each([
    ['a tool that failed answers well and says so', { status: 'tool_error' }, 'tool_error'],
    ['a JSON-RPC error is its code', { status: 'rpc_error', code: -32602 }, '-32602'],
    [
      'what was not sent has its problem',
      { status: 'not_forwarded', code: 'ERR_CREDENTIAL_ISSUE' },
      'ERR_CREDENTIAL_ISSUE',
    ],
    ['what did not come back has its status', { status: 'unknown' }, 'unknown'],
    ['a denied call names the gate', { verdict: 'deny', gate: 'task', status: undefined }, 'denied_task'],
    ['a question on the way is none', { status: 'input_required' }, undefined],
    ['a good call has none', {}, undefined],
  ] as const)('error.type: %s', (_, more, expected) => {
    const span = callSpan({ ...CALL, ...more });
    expect(span.attributes['error.type']).toBe(expected);
    expect(span.isError).toBe(expected !== undefined);
  });

  it('keeps addresses of resources out of its name, and long names short', () => {
    const resource = callSpan({
      ...CALL,
      method: 'resources/read',
      item: { kind: 'resource', connector: connectorId('shop'), name: 'file:///orders/*' },
    });
    expect(resource.name).toBe('resources/read');
    expect(resource.attributes).not.toHaveProperty('gen_ai.tool.name');
    expect(
      callSpan({ ...CALL, item: { kind: 'tool', connector: connectorId('shop'), name: 'x'.repeat(1_000) } }).name
        .length,
    ).toBe(256);
  });

  it('hangs below the span of its task', () => {
    const task = { ...makeTask('tsk_a'), trace: CALL.trace };
    const span = taskSpan(task, 'completed', 5_000);
    expect(span).toMatchObject({ trace: CALL.trace, parent: undefined, span: callSpan(CALL).parent });
    expect(span.attributes['remit.task.end_reason']).toBe('completed');
  });
});
