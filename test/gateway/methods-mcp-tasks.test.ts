import { describe, expect, it } from 'vitest';
import type { JsonObject } from '../../src/domain/json.ts';
import type { ClientRequest } from '../../src/gateway/client-request.ts';
import { handleMethod } from '../../src/gateway/methods/handle-method.ts';
import type { UpstreamReply } from '../../src/seams/upstream.ts';
import {
  decision,
  type FakeGateway,
  type FakeOptions,
  makeClientRequest,
  makeGateway,
  makeItem,
  makeTask,
  makeTool,
} from '../support/fake-gateway-parts.ts';

const EXTENSION = { extensions: { 'io.modelcontextprotocol/tasks': {} } };

/** A server that makes an McpTask of each call. */
const reply: FakeOptions['reply'] = async (_, { prefer }, { method }): Promise<UpstreamReply> => {
  const state = { taskId: 'up-1', status: 'working', createdAt: 'x', lastUpdatedAt: 'x', ttl: null };
  const own = { ...state, resultType: method === 'tools/call' ? 'task' : 'complete' };
  const result: JsonObject =
    prefer === 'modern'
      ? own
      : method === 'tools/call'
        ? { task: state }
        : method === 'tasks/result'
          ? { content: [] }
          : state;
  return { result, resultText: JSON.stringify(result) };
};

async function ask(
  fake: FakeGateway,
  method: string,
  params: JsonObject,
  more: Partial<ClientRequest> = {},
  task = 'tsk_a',
) {
  const capabilities = more.era === 'modern' ? EXTENSION : {};
  const request = makeClientRequest(method, params, { capabilities, ...more });
  const { reply: came, recordOutcome } = await handleMethod(fake.gateway, fake.caller(makeTaskOf(fake, task)), request);
  recordOutcome?.();
  return 'resultText' in came ? JSON.parse(came.resultText) : came;
}

const makeTaskOf = (fake: FakeGateway, id: string) =>
  [...fake.tasks.values()].find((task) => task.id === id) ?? makeTask(id);

describe('McpTasks', () => {
  it.each(['legacy', 'modern'] as const)(
    '%s: the client gets a sealed id, and what it does with it reaches the connector as its own',
    async (era) => {
      const fake = makeGateway({ reply });
      const made = await ask(
        fake,
        'tools/call',
        { name: 'shop__orders', arguments: { id: 1 }, ...(era === 'legacy' && { task: { ttl: 60 } }) },
        { era },
      );
      const taskId = era === 'legacy' ? made.task.taskId : made.taskId;
      expect(taskId).not.toContain('up-1');
      const methods = ['tasks/get', 'tasks/cancel', era === 'legacy' ? 'tasks/result' : 'tasks/update'];
      for (const method of methods) await ask(fake, method, { taskId, inputResponses: { a: 1 } }, { era });
      expect(fake.calls.map(({ method, params }) => [method, params])).toEqual([
        ['tools/call', `"name":"orders","arguments":{"id":1}${era === 'legacy' ? ',"task":{"ttl":60}' : ''}`],
        ...methods.map((method) => [
          method,
          `"taskId":"up-1"${method === 'tasks/update' ? ',"inputResponses":{"a":1}' : ''}`,
        ]),
      ]);
      expect(fake.calls[1]?.name).toBe(era === 'modern' ? 'up-1' : undefined);
    },
  );

  it.each(['tasks/get', 'tasks/update', 'tasks/cancel'])(
    '%s of a modern client that has not declared the extension: −32021, whatever the id',
    async (method) => {
      const fake = makeGateway({ reply });
      const refused = await ask(fake, method, { taskId: 'x', inputResponses: {} }, { era: 'modern', capabilities: {} });
      expect(refused.error).toMatchObject({
        code: -32021,
        data: { requiredCapabilities: { extensions: { 'io.modelcontextprotocol/tasks': {} } } },
      });
      expect(fake.calls).toEqual([]);
    },
  );

  it('D1 they are decided on as the call that made them, with its arguments', async () => {
    const decided: unknown[] = [];
    let isAllowed = true;
    const fake = makeGateway({
      reply,
      decideCall: ({ args, tool, callsLeft }) => {
        decided.push([tool.ref, args, callsLeft]);
        return decision(isAllowed ? 'permit' : 'deny');
      },
    });
    const { taskId } = await ask(fake, 'tools/call', { name: 'shop__orders', arguments: { id: 1 } }, { era: 'modern' });
    await ask(fake, 'tasks/get', { taskId }, { era: 'modern' });
    expect(decided).toEqual([
      ['shop/orders', { id: 1 }, 5],
      ['shop/orders', { id: 1 }, 'not counted'],
    ]);
    isAllowed = false;
    expect(await ask(fake, 'tasks/get', { taskId }, { era: 'modern' })).toMatchObject({ refusal: { kind: 'denied' } });
  });

  it('A17 another task’s, a connector’s own, or an invented id is not found, and recorded', async () => {
    const fake = makeGateway({ reply, tasks: [makeTask('tsk_a'), makeTask('tsk_b')] });
    const { taskId } = await ask(fake, 'tools/call', { name: 'shop__orders' }, { era: 'modern' });
    const before = fake.calls.length;
    for (const [id, task] of [
      [taskId, 'tsk_b'],
      ['up-1', 'tsk_a'],
      [`${taskId}x`, 'tsk_a'],
    ] as const) {
      expect(await ask(fake, 'tasks/get', { taskId: id }, { era: 'modern' }, task)).toMatchObject({
        error: { code: -32602 },
      });
      expect(fake.records.at(-1)?.detail).toMatchObject({ verdict: 'deny', policies: ['remit:unknown-task'] });
    }
    expect(fake.calls).toHaveLength(before);
  });

  it('tasks/list gives those of this task, each decided on by itself', async () => {
    const fake = makeGateway({ reply, tasks: [makeTask('tsk_a'), makeTask('tsk_b')] });
    const { task } = await ask(fake, 'tools/call', { name: 'shop__orders', task: {} });
    const listed = await ask(fake, 'tasks/list', {});
    expect(listed.tasks).toMatchObject([{ taskId: task.taskId, status: 'working' }]);
    expect((await ask(fake, 'tasks/list', {}, {}, 'tsk_b')).tasks).toEqual([]);
    expect(fake.calls.map(({ method }) => method)).toEqual(['tools/call', 'tasks/get']);
  });

  it('a legacy tool keeps what it says of McpTasks, and they are offered', async () => {
    const tool = makeItem('tool', 'slow', { raw: { execution: { taskSupport: 'optional', x: 1 } } });
    const fake = makeGateway({ tools: [tool, makeTool('orders')] });
    const listed = await ask(fake, 'tools/list', {});
    expect(listed.tools.map((one: JsonObject) => one.execution)).toEqual([{ taskSupport: 'optional' }, undefined]);
  });
});
