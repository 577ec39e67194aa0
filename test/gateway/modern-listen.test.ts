import type { IncomingMessage } from 'node:http';
import { afterEach, describe, expect, it } from 'vitest';
import type { TaskId } from '../../src/domain/ids.ts';
import type { JsonObject } from '../../src/domain/json.ts';
import { refuse } from '../../src/domain/refusal.ts';
import type { Sink } from '../../src/gateway/events/hub.ts';
import {
  complete,
  type EdgeOptions,
  type FakeEdge,
  modernBody,
  modernHeaders,
  startEdge,
} from '../support/fake-edge-parts.ts';
import { decision } from '../support/fake-gateway-parts.ts';

const ID = 'io.modelcontextprotocol/subscriptionId';
const ALL = {
  tools: { listChanged: true },
  prompts: { listChanged: true },
  resources: { listChanged: true, subscribe: true },
  extensions: { 'io.modelcontextprotocol/tasks': {} },
};

let edge: FakeEdge;
const start = async (options: EdgeOptions = {}): Promise<void> => {
  edge = await startEdge({ capabilities: ALL, ...options });
};
afterEach(() => edge.close());

/** The messages of a stream, one after the other. */
class Stream {
  readonly response: IncomingMessage;
  #text = '';
  #isOver = false;
  #wake = (): void => {};

  constructor(response: IncomingMessage) {
    this.response = response;
    response.setEncoding('utf8');
    response.on('data', (chunk: string) => {
      this.#text += chunk;
      this.#wake();
    });
    response.on('error', () => {});
    response.on('close', () => {
      this.#isOver = true;
      this.#wake();
    });
  }

  async next(): Promise<JsonObject | undefined> {
    for (;;) {
      const end = this.#text.indexOf('\n\n');
      if (end !== -1) {
        const event = this.#text.slice(0, end);
        this.#text = this.#text.slice(end + 2);
        return JSON.parse(event.replace('data: ', '')) as JsonObject;
      }
      if (this.#isOver) return undefined;
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    }
  }
}

const open = async (notifications: unknown, id: unknown = 'sub-1', path = '/mcp'): Promise<Stream> =>
  new Stream(
    await edge.open(modernBody('subscriptions/listen', { notifications } as JsonObject, {}, id), {
      path,
      headers: modernHeaders('subscriptions/listen'),
    }),
  );
const send = (notifications: unknown, headers: string[] = []) =>
  edge.send(modernBody('subscriptions/listen', { notifications } as JsonObject), {
    headers: [...modernHeaders('subscriptions/listen'), ...headers],
  });
const sink = (): Sink => [...edge.sinks][0] as Sink;
const until = async (isSo: () => boolean): Promise<void> => {
  while (!isSo()) await new Promise((next) => setImmediate(next));
};

describe('subscriptions/listen', () => {
  it('is acknowledged first with what is honoured, and every message carries its id', async () => {
    await start();
    const stream = await open(
      {
        toolsListChanged: true,
        promptsListChanged: false,
        resourceSubscriptions: ['docs://a'],
        taskIds: ['h1'],
        other: true,
      },
      7,
    );
    expect(stream.response.headers['content-type']).toBe('text/event-stream');
    expect(await stream.next()).toEqual({
      jsonrpc: '2.0',
      method: 'notifications/subscriptions/acknowledged',
      params: {
        notifications: { toolsListChanged: true, resourceSubscriptions: ['docs://a'], taskIds: ['h1'] },
        _meta: { [ID]: 7 },
      },
    });
    sink().notify('notifications/tools/list_changed', {});
    sink().notify('notifications/resources/updated', { uri: 'docs://a', _meta: { x: 1, [ID]: 'forged' } });
    sink().notify('notifications/tasks', { taskId: 'h1', status: 'working' });
    expect(await stream.next()).toMatchObject({
      method: 'notifications/tools/list_changed',
      params: { _meta: { [ID]: 7 } },
    });
    expect(await stream.next()).toMatchObject({ params: { uri: 'docs://a', _meta: { x: 1, [ID]: 7 } } });
    expect(await stream.next()).toMatchObject({ params: { taskId: 'h1', _meta: { [ID]: 7 } } });
  });

  it('sends nothing that was not asked for', async () => {
    await start();
    const stream = await open({ promptsListChanged: true, resourceSubscriptions: ['docs://a'] });
    await stream.next();
    for (const method of [
      'notifications/tools/list_changed',
      'notifications/resources/list_changed',
      'notifications/message',
    ]) {
      sink().notify(method, {});
    }
    sink().notify('notifications/resources/updated', { uri: 'docs://b' });
    sink().notify('notifications/tasks', { taskId: 'h1' });
    sink().notify('notifications/prompts/list_changed', {});
    expect(await stream.next()).toMatchObject({ method: 'notifications/prompts/list_changed' });
    expect(sink().wantsList('tools')).toBe(false);
    expect([...sink().resources()]).toEqual(['docs://a']);
  });

  it('I1: is for its own task and path', async () => {
    await start();
    await (await open({ toolsListChanged: true }, 1, '/mcp/docs')).next();
    expect(sink()).toMatchObject({ era: 'modern', task: 'tsk_a', scope: 'docs' });
  });

  it('honours no more than is offered, and ends at once when that is nothing', async () => {
    await start({ capabilities: { tools: {}, resources: { subscribe: false } } });
    const stream = await open({ toolsListChanged: true, resourceSubscriptions: ['docs://a'], taskIds: ['h1'] });
    expect(await stream.next()).toMatchObject({ params: { notifications: {} } });
    expect(await stream.next()).toMatchObject({
      id: 'sub-1',
      result: { resultType: 'complete', _meta: { [ID]: 'sub-1' } },
    });
    expect(await stream.next()).toBeUndefined();
    expect(edge.sinks.size).toBe(0);
    expect(edge.handled).toEqual([]);
  });

  it('D1: each resource is decided on, and one that is refused is not heard of', async () => {
    const outcomes: string[] = [];
    await start({
      handle({ method, params }) {
        const recordOutcome = (): void => void outcomes.push(`${method} ${String(params.uri)}`);
        if (params.uri === 'docs://secret') {
          return { reply: refuse({ kind: 'denied', decision: decision('deny') }), recordOutcome };
        }
        if (params.uri === 'docs://none') return { reply: { error: { code: -32602, message: 'none' } }, recordOutcome };
        return { ...complete(), recordOutcome };
      },
    });
    const stream = await open({ resourceSubscriptions: ['docs://a', 'docs://secret', 'docs://none'] });
    expect(await stream.next()).toMatchObject({ params: { notifications: { resourceSubscriptions: ['docs://a'] } } });
    expect(sink().wantsResource('docs://secret')).toBe(false);
    expect(outcomes).toEqual(['docs://a', 'docs://secret', 'docs://none'].map((uri) => `resources/subscribe ${uri}`));
  });

  it.each([
    ['nothing', undefined],
    ['a list', []],
    ['a text for a truth', { toolsListChanged: 'yes' }],
    ['a text for a list', { resourceSubscriptions: 'docs://a' }],
    ['numbers for URIs', { resourceSubscriptions: [1] }],
    ['I3: too many URIs', { resourceSubscriptions: Array.from({ length: 65 }, (_, i) => `docs://${i}`) }],
    ['I3: a URI without end', { resourceSubscriptions: ['x'.repeat(20_000)] }],
  ])('−32602 for %s', async (_, notifications) => {
    await start();
    expect(await send(notifications)).toMatchObject({ status: 200, body: { id: 1, error: { code: -32602 } } });
    expect(edge.sinks.size).toBe(0);
  });

  it('a client that reads no stream gets 406', async () => {
    await start();
    expect((await send({ toolsListChanged: true }, ['Accept', 'application/json'])).status).toBe(406);
  });

  it('I3: a task has eight at most, and a closed one makes room', async () => {
    await start();
    const streams: Stream[] = [];
    for (let i = 0; i < 8; i++) {
      const stream = await open({ toolsListChanged: true }, i);
      await stream.next();
      streams.push(stream);
    }
    expect(await send({ toolsListChanged: true })).toMatchObject({ body: { error: { code: -31000 } } });
    const other = await edge.open(modernBody('subscriptions/listen', { notifications: { toolsListChanged: true } }), {
      headers: [...modernHeaders('subscriptions/listen'), 'Authorization', 'Bearer tsk_b'],
    });
    expect(other.headers['content-type']).toBe('text/event-stream');
    other.destroy();
    streams[0]?.response.destroy();
    await until(() => edge.sinks.size === 7);
    expect(await (await open({ toolsListChanged: true })).next()).toMatchObject({
      params: { notifications: { toolsListChanged: true } },
    });
  });

  it('V2: ends with its task, with a result, and leaves other tasks’ alone', async () => {
    await start();
    const stream = await open({ toolsListChanged: true });
    await stream.next();
    edge.modern.endTask('tsk_b');
    sink().notify('notifications/tools/list_changed', {});
    expect(await stream.next()).toMatchObject({ method: 'notifications/tools/list_changed' });
    edge.modern.endTask('tsk_a');
    expect(await stream.next()).toEqual({
      jsonrpc: '2.0',
      id: 'sub-1',
      result: {
        resultType: 'complete',
        _meta: {
          [ID]: 'sub-1',
          'io.modelcontextprotocol/serverInfo': { name: 'remit', title: 'Remit', version: '1.2.3' },
        },
      },
    });
    expect(await stream.next()).toBeUndefined();
    await until(() => edge.sinks.size === 0);
  });

  it('V2: a task that ends while its resources are decided on opens nothing', async () => {
    await start({
      handle() {
        edge.tasks.delete('tsk_a' as TaskId);
        edge.modern.endTask('tsk_a');
        return complete();
      },
    });
    expect(await send({ resourceSubscriptions: ['docs://a'] })).toMatchObject({ body: { error: { code: -31000 } } });
    expect(edge.sinks.size).toBe(0);
  });

  it('I1: ends with the token that it was opened with', async () => {
    await start();
    const stream = await open({ toolsListChanged: true });
    await stream.next();
    await until(() => [...edge.timers].some(({ ms }) => ms === 60_000));
    for (const { ms, task } of edge.timers) if (ms === 60_000) task();
    expect(await stream.next()).toMatchObject({ id: 'sub-1', result: { resultType: 'complete' } });
    await until(() => edge.sinks.size === 0);
    expect([...edge.timers].filter(({ ms }) => ms === 60_000)).toEqual([]);
  });

  it('fault 26: a silent stream is kept alive', async () => {
    await start();
    const response = await edge.open(
      modernBody('subscriptions/listen', { notifications: { toolsListChanged: true } }),
      { headers: modernHeaders('subscriptions/listen') },
    );
    let text = '';
    response.setEncoding('utf8').on('data', (chunk: string) => {
      text += chunk;
    });
    await until(() => text.includes('acknowledged'));
    // Two rounds of the wheel: in the first one something had just been said.
    await until(() => {
      for (const timer of [...edge.timers]) {
        if (timer.ms === 60_000) continue;
        edge.timers.delete(timer);
        timer.task();
      }
      return text.endsWith('\n\n:\n\n');
    });
    response.destroy();
  });

  it('fault 30: ends when the gateway stops, and none is opened after', async () => {
    await start();
    const stream = await open({ toolsListChanged: true });
    await stream.next();
    edge.modern.drain();
    expect(await stream.next()).toMatchObject({ id: 'sub-1', result: { resultType: 'complete' } });
    expect((await send({ toolsListChanged: true })).status).toBe(503);
  });
});
