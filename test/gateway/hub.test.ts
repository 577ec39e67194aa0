import { describe, expect, it } from 'vitest';
import { type ConnectorId, connectorId, type TaskId } from '../../src/domain/ids.ts';
import type { JsonObject } from '../../src/domain/json.ts';
import type { Question } from '../../src/gateway/client-request.ts';
import { createHub, type HubOptions } from '../../src/gateway/events/create-hub.ts';
import type { ListKind, Sink } from '../../src/gateway/events/hub.ts';
import type { ClientAnswer } from '../../src/seams/upstream.ts';
import { createFakeTime } from '../support/fake-lease-time.ts';

const SHOP = connectorId('shop');
const DOCS = connectorId('docs');
const A = 'tsk_a' as TaskId;
const B = 'tsk_b' as TaskId;

function makeHub(options: Partial<HubOptions> = {}) {
  const time = createFakeTime();
  const listed: string[] = [];
  const wanted: TaskId[] = [];
  const logged: object[] = [];
  const hub = createHub({
    clock: time.clock,
    schedule: time.schedule,
    log: {
      debug: (fields) => void logged.push(fields),
      info() {},
      warn: (fields) => void logged.push(fields),
      error() {},
    },
    onListChanged: (connector, kind) => void listed.push(`${connector} ${kind}`),
    connectorOf: (uri) => (uri.startsWith('docs:') ? DOCS : uri.startsWith('shop:') ? SHOP : undefined),
    onWanted: (task) => void wanted.push(task),
    question: (_task, connector, method, params) => ({ connector, method, params, confirm: async () => true }),
    ...options,
  });
  return { hub, time, listed, wanted, logged };
}

interface FakeSink extends Sink {
  readonly heard: [string, JsonObject][];
  isClosed: boolean;
}

function makeSink(more: Partial<Sink> & { uris?: string[]; kinds?: ListKind[] } = {}): FakeSink {
  const heard: [string, JsonObject][] = [];
  const { uris = [], kinds = [], ...rest } = more;
  const sink: FakeSink = {
    era: 'legacy',
    task: A,
    scope: undefined,
    wantsList: (kind) => kinds.includes(kind),
    wantsResource: (uri) => uris.includes(uri),
    resources: () => uris,
    notify: (method, params) => void heard.push([method, params]),
    close: () => {
      sink.isClosed = true;
    },
    heard,
    isClosed: false,
    ...rest,
  };
  return sink;
}

const UPDATED = 'notifications/resources/updated';

describe('changed lists', () => {
  it('fault 33: an announcement lists the connector anew, whether or not a client listens; clients hear of it after that', async () => {
    const { hub, time, listed } = makeHub();
    const tools = makeSink({ kinds: ['tools'] });
    const onlyShop = makeSink({ kinds: ['tools', 'prompts'], scope: SHOP, era: 'modern' });
    const onlyDocs = makeSink({ kinds: ['tools'], scope: DOCS });
    const otherTask = makeSink({ kinds: ['tools'], task: B });
    const deaf = makeSink();
    const sinks = [tools, onlyShop, onlyDocs, otherTask, deaf];
    for (const sink of sinks) hub.add(sink);
    hub.eventsFor(A, SHOP, []).notification('notifications/tools/list_changed', {});
    await time.advance(249);
    expect(listed).toEqual([]);
    await time.advance(2);
    expect(listed).toEqual(['shop tools']);
    expect(sinks.flatMap(({ heard }) => heard)).toEqual([]);
    hub.listChanged(SHOP, 'tools');
    expect(sinks.map(({ heard }) => heard.length)).toEqual([1, 1, 0, 1, 0]);
    expect(tools.heard[0]).toEqual(['notifications/tools/list_changed', {}]);
  });

  it('I3: a server that floods costs, after the first four, one listing in five seconds, and the last announcement is not lost', async () => {
    const { hub, time, listed } = makeHub();
    const events = hub.eventsFor(A, SHOP, []);
    const flood = async (ms: number) => {
      for (let at = 0; at < ms; at += 50) {
        events.notification('notifications/tools/list_changed', {});
        await time.advance(50);
      }
    };
    await flood(20_000);
    expect(listed.length).toBeGreaterThanOrEqual(7);
    expect(listed.length).toBeLessThanOrEqual(8);
    const before = listed.length;
    await time.advance(5_000);
    expect(listed.length).toBe(before + 1);
    await time.advance(60_000);
    expect(listed.length).toBe(before + 1);
    expect(time.pending).toBe(0);
    hub.eventsFor(A, DOCS, []).notification('notifications/prompts/list_changed', {});
    await time.advance(251);
    expect(listed.at(-1)).toBe('docs prompts');
  });

  it('what is announced during a listing is listed again; a listing that fails stops nothing', async () => {
    const { hub, time, logged } = makeHub({
      onListChanged: async (connector, kind) => {
        runs.push(kind);
        if (runs.length === 1) {
          hub.eventsFor(A, connector, []).notification('notifications/resources/list_changed', {});
          throw new Error('server is down');
        }
      },
    });
    const runs: ListKind[] = [];
    hub.eventsFor(A, SHOP, []).notification('notifications/tools/list_changed', {});
    await time.advance(300);
    expect(runs).toEqual(['tools']);
    expect(logged).toMatchObject([{ error: 'server is down' }]);
    await time.advance(5_000);
    expect(runs).toEqual(['tools', 'resources']);
  });
});

describe('resources', () => {
  it('I1: an update reaches the sinks of the task that subscribed, from the connector that the resource is routed to', () => {
    const { hub } = makeHub();
    const mine = makeSink({ uris: ['docs:a'], era: 'modern' });
    const scoped = makeSink({ uris: ['docs:a'], scope: DOCS });
    const elsewhere = makeSink({ uris: ['docs:a'], scope: SHOP });
    const another = makeSink({ uris: ['docs:b'] });
    const other = makeSink({ uris: ['docs:a'], task: B });
    const sinks = [mine, scoped, elsewhere, another, other];
    for (const sink of sinks) hub.add(sink);
    hub
      .eventsFor(A, DOCS, [])
      .notification(UPDATED, { uri: 'docs:a', _meta: { 'io.modelcontextprotocol/subscriptionId': 9 } });
    expect(sinks.map(({ heard }) => heard.length)).toEqual([1, 1, 0, 0, 0]);
    expect(mine.heard[0]).toEqual([UPDATED, { uri: 'docs:a' }]);
    // A server that speaks for a resource of another one.
    hub.eventsFor(A, SHOP, []).notification(UPDATED, { uri: 'docs:a' });
    expect(mine.heard).toHaveLength(1);
    hub.eventsFor(A, DOCS, []).notification(UPDATED, { uri: 5 });
    expect(mine.heard).toHaveLength(1);
  });

  it('a connection is to watch what the sinks of its task want of its connector', () => {
    const { hub, wanted } = makeHub();
    expect(hub.wanted(A, DOCS)).toEqual({ lists: false, resources: [] });
    const remove = hub.add(makeSink({ uris: ['docs:a', 'shop:x', 'nowhere:y'], kinds: ['prompts'] }));
    hub.add(makeSink({ uris: ['docs:a', 'docs:b'], scope: DOCS }));
    hub.add(makeSink({ uris: ['docs:c'], task: B }));
    expect(hub.wanted(A, DOCS)).toEqual({ lists: true, resources: ['docs:a', 'docs:b'] });
    expect(hub.wanted(A, SHOP)).toEqual({ lists: true, resources: ['shop:x'] });
    expect(hub.size).toBe(3);
    remove();
    remove();
    expect(hub.wanted(A, DOCS)).toEqual({ lists: false, resources: ['docs:a', 'docs:b'] });
    hub.changed(B);
    expect(wanted).toEqual([A, A, B, A, B]);
  });
});

describe('fault 32: what belongs to a request reaches nobody outside it', () => {
  it.each([
    'notifications/progress',
    'notifications/cancelled',
    'notifications/initialized',
    'constructor',
    '__proto__',
    '',
  ])('%s is dropped', async (method) => {
    const { hub, time, listed, logged } = makeHub();
    const sink = makeSink({ kinds: ['tools'], uris: ['docs:a'] });
    hub.add(sink);
    hub.eventsFor(A, SHOP, []).notification(method, { progressToken: 1, requestId: 1, progress: 1 });
    await time.advance(10_000);
    expect(sink.heard).toEqual([]);
    expect(listed).toEqual([]);
    expect(logged).toHaveLength(1);
  });

  it.each(['notifications/message', 'notifications/elicitation/complete'])(
    '%s reaches legacy sinks of the same task and scope',
    (method) => {
      const { hub } = makeHub();
      const sinks = [
        makeSink(),
        makeSink({ scope: SHOP }),
        makeSink({ scope: DOCS }),
        makeSink({ era: 'modern' }),
        makeSink({ task: B }),
      ];
      for (const sink of sinks) hub.add(sink);
      hub.eventsFor(A, SHOP, []).notification(method, { level: 'info', data: 'x' });
      expect(sinks.map(({ heard }) => heard.length)).toEqual([1, 1, 0, 0, 0]);
    },
  );

  it('A17: the state of an McpTask is told under its handle; of one that nobody here has, to nobody', () => {
    const { hub } = makeHub();
    const legacy = makeSink();
    const modern = makeSink({ era: 'modern' });
    hub.add(legacy);
    hub.add(modern);
    hub.knowMcpTask(A, SHOP, 'inner', 'r1.sealed');
    const events = hub.eventsFor(A, SHOP, []);
    events.notification('notifications/tasks/status', { taskId: 'inner', status: 'completed' });
    expect(legacy.heard).toEqual([['notifications/tasks/status', { taskId: 'r1.sealed', status: 'completed' }]]);
    events.notification('notifications/tasks', { taskId: 'inner', status: 'completed' });
    expect(modern.heard).toEqual([['notifications/tasks', { taskId: 'r1.sealed', status: 'completed' }]]);
    events.notification('notifications/tasks', { taskId: 'unknown' });
    hub.eventsFor(A, DOCS, []).notification('notifications/tasks', { taskId: 'inner' });
    hub.eventsFor(B, SHOP, []).notification('notifications/tasks', { taskId: 'inner' });
    expect(modern.heard).toHaveLength(1);
    for (let at = 0; at < 300; at++) hub.knowMcpTask(A, SHOP, `t${at}`, `h${at}`);
    expect(hub.handleOf(A, SHOP, 'inner')).toBeUndefined();
    expect(hub.handleOf(A, SHOP, 't299')).toBe('h299');
  });

  it('a stream that cannot take a notification does not keep it from the others', () => {
    const { hub, logged } = makeHub();
    const broken = makeSink({
      notify() {
        throw new Error('gone');
      },
    });
    const sink = makeSink();
    hub.add(broken);
    hub.add(sink);
    hub.eventsFor(A, SHOP, []).notification('notifications/message', { data: 1 });
    expect(sink.heard).toHaveLength(1);
    expect(logged).toHaveLength(1);
  });
});

describe('what servers say outside requests is looked through', () => {
  const needles = [{ value: 'hunter2-hunter2', inJson: 'hunter2-hunter2' }];

  it('L6, A25: neither the credential of the connection nor hidden characters reach a client', () => {
    const { hub } = makeHub();
    const sink = makeSink({ uris: ['shop:a'] });
    hub.add(sink);
    const { notification } = hub.eventsFor(A, SHOP, needles);
    notification('notifications/message', {
      level: 'info',
      data: { said: ['key hunter2-hunter2', 'a\u200bb\u{e0041}'] },
    });
    notification(UPDATED, { uri: 'shop:a', title: 'hunter2-hunter2' });
    expect(sink.heard).toEqual([
      ['notifications/message', { level: 'info', data: { said: ['key [withheld by Remit: a credential]', 'ab'] } }],
      [UPDATED, { uri: 'shop:a', title: '[withheld by Remit: a credential]' }],
    ]);
  });

  it('A04: what is nested too deep to be looked through is dropped', () => {
    const { hub } = makeHub();
    const sink = makeSink();
    hub.add(sink);
    let data: unknown = 'x';
    for (let depth = 0; depth < 100_000; depth += 1) data = [data];
    hub.eventsFor(A, SHOP, needles).notification('notifications/message', { data });
    expect(sink.heard).toEqual([]);
  });

  it('L6: a question is handed on with what must not be in it', async () => {
    const given: unknown[] = [];
    const { hub } = makeHub({
      question: (...all) => {
        given.push(all[4]);
        return { error: { code: -32603, message: 'no' } };
      },
    });
    hub.add(makeSink({ ask: async () => ({ result: {} }) }));
    await hub.eventsFor(A, SHOP, needles).ask('roots/list', {});
    expect(given).toEqual([needles]);
  });
});

describe('questions outside requests', () => {
  const answering = (answer: ClientAnswer, asked: Question[] = []): Partial<Sink> => ({
    async ask(question) {
      asked.push(question);
      return answer;
    },
  });
  const ask = (hub: ReturnType<typeof createHub>, method = 'roots/list', connector: ConnectorId = SHOP) =>
    hub.eventsFor(A, connector, []).ask(method, {});

  it('go to a sink of the task that can be asked, once they are allowed', async () => {
    const { hub } = makeHub();
    const asked: Question[] = [];
    hub.add(makeSink());
    hub.add(makeSink({ scope: DOCS, ...answering({ result: { roots: ['wrong scope'] } }) }));
    hub.add(makeSink({ task: B, ...answering({ result: { roots: ['wrong task'] } }) }));
    expect(await ask(hub)).toMatchObject({ error: { message: 'no client can be asked' } });
    hub.add(makeSink(answering({ result: { roots: [] } }, asked)));
    expect(await ask(hub)).toEqual({ result: { roots: [] } });
    expect(asked).toMatchObject([{ connector: SHOP, method: 'roots/list' }]);
  });

  it('A43: are refused where the pipeline refuses, and the client hears nothing', async () => {
    const asked: Question[] = [];
    const { hub } = makeHub({ question: async () => ({ error: { code: -32603, message: 'not allowed' } }) });
    hub.add(makeSink(answering({ result: {} }, asked)));
    expect(await ask(hub, 'sampling/createMessage')).toEqual({ error: { code: -32603, message: 'not allowed' } });
    expect(await ask(hub, 'tools/call')).toMatchObject({ error: { code: -32601 } });
    expect(await ask(hub, 'constructor')).toMatchObject({ error: { code: -32601 } });
    expect(await ask(hub, 'ping')).toEqual({ result: {} });
    expect(asked).toEqual([]);
  });

  it('D5: are decided on anew before the answer goes on; a fault on the way is an error answer', async () => {
    let verdict: () => Promise<boolean> = async () => false;
    const { hub } = makeHub({
      question: (_task, connector, method, params) => ({ connector, method, params, confirm: () => verdict() }),
    });
    hub.add(makeSink(answering({ result: { roots: [] } })));
    expect(await ask(hub)).toMatchObject({ error: { message: 'no longer permitted' } });
    verdict = () => Promise.reject(new Error('journal full'));
    expect(await ask(hub)).toMatchObject({ error: { code: -32603 } });
  });

  it('I3: are a few at a time', async () => {
    const { hub } = makeHub();
    const release: (() => void)[] = [];
    hub.add(makeSink({ ask: () => new Promise((done) => void release.push(() => done({ result: {} }))) }));
    const open = Array.from({ length: 4 }, () => ask(hub));
    expect(await ask(hub)).toMatchObject({ error: { message: 'too many questions are open' } });
    for (const one of release) one();
    await Promise.all(open);
    const next = ask(hub);
    await Promise.resolve();
    for (const one of release.splice(4)) one();
    expect(await next).toEqual({ result: {} });
  });
});

it('V2: the end of a task closes its streams and forgets its handles; the others stay', () => {
  const { hub } = makeHub();
  const mine = makeSink();
  const other = makeSink({ task: B });
  hub.add(mine);
  hub.add(other);
  hub.knowMcpTask(A, SHOP, 'inner', 'handle');
  hub.endTask(A);
  expect([mine.isClosed, other.isClosed]).toEqual([true, false]);
  expect(hub.handleOf(A, SHOP, 'inner')).toBeUndefined();
  hub.eventsFor(A, SHOP, []).notification('notifications/message', {});
  expect(mine.heard).toEqual([]);
  hub.closeAll();
  expect(other.isClosed).toBe(true);
  expect(hub.size).toBe(0);
});
