import { afterEach, describe, expect, it } from 'vitest';
import type { TaskId } from '../../src/domain/ids.ts';
import { makeTask } from '../support/fake-gateway-parts.ts';
import { type FakeLegacy, type LegacyOptions, note, result, rpc, startLegacy } from '../support/fake-legacy-edge.ts';

let gateway: FakeLegacy;
const start = async (options: LegacyOptions = {}): Promise<void> => {
  gateway = await startLegacy(options);
};
afterEach(() => gateway.close());

const LIST = rpc('tools/list');
const never = (): Promise<never> => new Promise(() => {});

describe('initialize', () => {
  it.each([
    ['2025-11-25', '2025-11-25'],
    ['2025-06-18', '2025-06-18'],
    ['2025-03-26', '2025-03-26'],
    ['2024-11-05', '2025-11-25'],
    ['1999-01-01', '2025-11-25'],
  ])('asked for %s it settles on %s', async (asked, agreed) => {
    await start();
    const answer = await gateway.send(rpc('initialize', { protocolVersion: asked, capabilities: {} }));
    expect(answer.status).toBe(200);
    expect(answer.body.result).toEqual({
      protocolVersion: agreed,
      capabilities: { tools: { listChanged: true } },
      serverInfo: { name: 'remit', title: 'Remit', version: '1.2.3' },
      instructions: 'read this',
    });
  });

  it('A16: a session id is 128 bits of visible ASCII, and no two are the same', async () => {
    await start();
    const ids = [await gateway.session(), await gateway.session()];
    expect(new Set(ids).size).toBe(2);
    for (const id of ids) {
      expect(id).toMatch(/^[\x21-\x7e]+$/);
      expect(Buffer.from(id, 'base64url')).toHaveLength(16);
    }
  });

  it('capabilities that no client would declare are refused, and make no session', async () => {
    await start();
    const large = { capabilities: { experimental: { x: 'y'.repeat(20_000) } } };
    for (const params of [large, { capabilities: [] }]) {
      expect((await gateway.send(rpc('initialize', params))).body.error.code).toBe(-32602);
    }
    expect(gateway.edge.sessions).toBe(0);
  });

  it('a second initialize in a session is refused', async () => {
    await start();
    const session = await gateway.session();
    expect((await gateway.send(rpc('initialize'), { session })).status).toBe(400);
    expect(gateway.edge.sessions).toBe(1);
  });
});

describe('a session that is not there', () => {
  const requests: [string, unknown, string][] = [
    ['a request', LIST, 'POST'],
    ['initialize', rpc('initialize'), 'POST'],
    ['a notification', note('notifications/initialized'), 'POST'],
    ['a response', { jsonrpc: '2.0', id: 1, result: {} }, 'POST'],
    ['a batch', [LIST], 'POST'],
    ['GET', undefined, 'GET'],
    ['DELETE', undefined, 'DELETE'],
  ];

  it.each(requests)(
    'faults 11, 12, 14: %s under an unknown id is 404, and makes nothing',
    async (_name, body, verb) => {
      await start();
      const answer = await gateway.send(body, { verb, session: 'from-before-the-restart' });
      expect(answer.status).toBe(404);
      expect(gateway.edge.sessions).toBe(0);
      expect(gateway.handled).toEqual([]);
    },
  );

  it('fault 12: after a restart the client initialises again and goes on', async () => {
    await start();
    const old = await gateway.session();
    await gateway.close();
    await start();
    expect((await gateway.send(LIST, { session: old })).status).toBe(404);
    const session = await gateway.session();
    expect((await gateway.send(LIST, { session })).status).toBe(200);
  });

  it('DELETE ends it, with what is under way and its streams', async () => {
    let reason: string | undefined;
    await start({
      handle: (request) =>
        new Promise((resolve) => {
          request.cancellation.onCancel((why) => {
            reason = why;
            resolve(result());
          });
        }),
    });
    const session = await gateway.session();
    const events = await gateway.stream(undefined, { session });
    const call = gateway.send(rpc('tools/call'), { session });
    while (gateway.handled.length === 0) await gateway.time.settle();
    expect((await gateway.send(undefined, { verb: 'DELETE', session })).status).toBe(204);
    await events.rest();
    await call;
    expect(reason).toBe('the client ended the session');
    expect(gateway.sinks.size).toBe(0);
    expect((await gateway.send(LIST, { session })).status).toBe(404);
  });

  it('the end of the task ends its sessions and no others', async () => {
    await start();
    const [mine, other] = [await gateway.session(), await gateway.session({ token: 'tsk_b' })];
    const events = await gateway.stream(undefined, { session: mine });
    gateway.edge.endTask('tsk_a');
    await events.rest();
    expect((await gateway.send(LIST, { session: mine })).status).toBe(404);
    expect((await gateway.send(LIST, { session: other, token: 'tsk_b' })).status).toBe(200);
  });

  it('a task that ends while initialize is answered gets no session', async () => {
    await start();
    gateway.offer = () => {
      gateway.tasks.delete('tsk_a' as TaskId);
      return { capabilities: {} };
    };
    expect((await gateway.send(rpc('initialize'))).status).toBe(401);
    expect(gateway.edge.sessions).toBe(0);
  });
});

describe('I1: a session is its principal’s', () => {
  const alice = 'tsk_a alice';

  it.each([
    ['another task', 'tsk_b alice', '/mcp'],
    ['another user of the same task’s agent', 'tsk_a mallory', '/mcp'],
    ['nobody in particular', 'tsk_a', '/mcp'],
    ['another path', alice, '/mcp/shop'],
  ])('A17, fault 16: %s finds no session under its id', async (_name, token, path) => {
    await start();
    const session = await gateway.session({ token: alice });
    const before = await gateway.send(LIST, { session: 'AAAAAAAAAAAAAAAAAAAAAA', token, path });
    for (const [body, verb] of [
      [LIST, 'POST'],
      [undefined, 'GET'],
      [undefined, 'DELETE'],
    ] as const) {
      const answer = await gateway.send(body, { session, token, path, verb });
      expect(answer.status).toBe(404);
      if (verb === 'POST') expect(answer.text).toBe(before.text);
    }
    expect(gateway.handled).toEqual([]);
    expect(gateway.refusals).toHaveLength(3);
    expect((await gateway.send(LIST, { session, token: alice })).status).toBe(200);
  });

  it('fault 15: a session lends no identity: each request is decided for whoever its own token names', async () => {
    const callers: string[] = [];
    await start({
      handle: (_, caller) => {
        callers.push(caller.principal.tokenId);
        return result();
      },
    });
    const session = await gateway.session();
    expect((await gateway.send(LIST, { session, token: 'nobody' })).status).toBe(401);
    await gateway.send(LIST, { session });
    await gateway.send(LIST, { session });
    expect(new Set(callers).size).toBe(2);
  });

  it('fault 21: a session outlives any number of tokens of the same principal', async () => {
    await start();
    const session = await gateway.session({ token: `${alice} 1800000000000` });
    expect((await gateway.send(LIST, { session, token: `${alice} 1900000000000` })).status).toBe(200);
  });

  it('fault 32: notifications and answers reach only the session that they are sent in', async () => {
    const reasons: string[] = [];
    const finish: (() => void)[] = [];
    await start({
      handle: (request) =>
        new Promise((resolve) => {
          finish.push(() => resolve(result()));
          request.cancellation.onCancel((why) => {
            reasons.push(`${request.session} ${why}`);
            resolve(result());
          });
        }),
    });
    const [mine, other] = [await gateway.session(), await gateway.session({ token: 'tsk_b' })];
    const calls = [
      gateway.send(rpc('tools/call', {}, 7), { session: mine }),
      gateway.send(rpc('tools/call', {}, 7), { session: other, token: 'tsk_b' }),
    ];
    while (gateway.handled.length < 2) await gateway.time.settle();
    const cancel = (requestId: unknown): object => note('notifications/cancelled', { requestId });
    for (const id of ['7', 8, null, {}]) expect((await gateway.send(cancel(id), { session: mine })).status).toBe(202);
    expect(reasons).toEqual([]);
    expect((await gateway.send(cancel(7), { session: mine })).status).toBe(202);
    await calls[0];
    expect(reasons).toEqual([`${mine} cancelled by the client`]);
    for (const end of finish) end();
    await calls[1];
    expect(reasons).toHaveLength(1);
  });

  it('A09: equal request ids of two clients in parallel never mix', async () => {
    const waiting: (() => void)[] = [];
    await start({
      handle: (request, caller) =>
        new Promise((resolve) => {
          waiting.push(() => resolve(result({ task: caller.task.id, n: request.params.n })));
        }),
    });
    const sessions = [
      { session: await gateway.session(), token: 'tsk_a' },
      { session: await gateway.session({ token: 'tsk_b' }), token: 'tsk_b' },
    ];
    const calls = Array.from({ length: 20 }, (_, at) => {
      const n = at >> 1;
      return gateway.send(rpc('tools/call', { n }, n), sessions[at & 1]);
    });
    while (waiting.length < 20) await gateway.time.settle();
    for (const answer of waiting.reverse()) answer();
    for (const [at, call] of calls.entries()) {
      const { body } = await call;
      expect(body).toMatchObject({ id: at >> 1, result: { task: sessions[at & 1]?.token, n: at >> 1 } });
    }
  });

  it('I2: an id that is under way in the session is refused a second time, and served once it is free', async () => {
    const waiting: (() => void)[] = [];
    await start({ handle: () => new Promise((resolve) => waiting.push(() => resolve(result()))) });
    const session = await gateway.session();
    const first = gateway.send(rpc('tools/call', {}, 1), { session });
    while (waiting.length === 0) await gateway.time.settle();
    expect((await gateway.send(rpc('tools/call', {}, 1), { session })).body.error.code).toBe(-32600);
    expect(gateway.handled).toHaveLength(1);
    waiting[0]?.();
    await first;
    const again = gateway.send(rpc('tools/call', {}, 1), { session });
    while (waiting.length < 2) await gateway.time.settle();
    waiting[1]?.();
    expect((await again).status).toBe(200);
  });
});

describe('bounds', () => {
  it('fault 17: a session of which nothing is heard for half an hour is forgotten', async () => {
    await start();
    const session = await gateway.session();
    const used = await gateway.session();
    await gateway.time.advance(20 * 60_000);
    expect((await gateway.send(LIST, { session: used })).status).toBe(200);
    await gateway.time.advance(14 * 60_000);
    expect((await gateway.send(LIST, { session })).status).toBe(404);
    expect((await gateway.send(LIST, { session: used })).status).toBe(200);
    await gateway.time.advance(40 * 60_000);
    expect(gateway.edge.sessions).toBe(0);
  });

  it('a session with an open stream or a call under way is not idle', async () => {
    await start({ handle: never });
    const listening = await gateway.session();
    const calling = await gateway.session();
    const events = await gateway.stream(undefined, { session: listening });
    const call = gateway.stream(rpc('tools/call'), { session: calling });
    while (gateway.handled.length === 0) await gateway.time.settle();
    await gateway.time.advance(3 * 3_600_000);
    expect(gateway.edge.sessions).toBe(2);
    await Promise.all([events.drop(), (await call).drop()]);
  });

  it('fault 17: at the cap of a task the longest idle session makes room', async () => {
    await start({ limits: { perTask: 3 } });
    const ids = [await gateway.session(), await gateway.session(), await gateway.session()];
    await gateway.send(LIST, { session: ids[0] });
    const fourth = await gateway.session();
    expect(gateway.edge.sessions).toBe(3);
    expect((await gateway.send(LIST, { session: ids[1] })).status).toBe(404);
    for (const session of [ids[0], ids[2], fourth]) expect((await gateway.send(LIST, { session })).status).toBe(200);
  });

  it('faults 19, 20: however many tasks and agents there are, when every session is in use the client is told so', async () => {
    await start({ limits: { perTask: 2, perAgent: 3, overall: 4 }, tasks: TASKS });
    const streams = [];
    const take = async (token: string) => {
      const session = await gateway.session({ token });
      streams.push(await gateway.stream(undefined, { session, token }));
    };
    const refused = async (token: string) => {
      const { status, body } = await gateway.send(rpc('initialize'), { token });
      return `${status} ${body.error.message}`;
    };
    await take('tsk_a');
    await take('tsk_a');
    expect(await refused('tsk_a')).toBe('429 all 2 sessions of this task are in use: end one, or try again later');
    await take('tsk_b');
    expect(await refused('tsk_b')).toBe('429 all 3 sessions of this agent are in use: end one, or try again later');
    await take('tsk_c');
    expect(await refused('tsk_d')).toBe('503 all 4 sessions of this gateway are in use: end one, or try again later');
  });

  it('subscriptions of a session are bounded', async () => {
    await start();
    const session = await gateway.session();
    for (let n = 0; n < 64; n++) {
      await gateway.send(rpc('resources/subscribe', { uri: `docs://${n}` }, n), { session });
    }
    const answer = await gateway.send(rpc('resources/subscribe', { uri: 'docs://more' }), { session });
    expect(answer.body.error.code).toBe(-32602);
    expect(gateway.handled).toHaveLength(64);
    await gateway.send(rpc('resources/unsubscribe', { uri: 'docs://0' }), { session });
    expect((await gateway.send(rpc('resources/subscribe', { uri: 'docs://more' }), { session })).body.result).toEqual(
      {},
    );
  });
});

const TASKS = [makeTask('tsk_a'), makeTask('tsk_b'), makeTask('tsk_c', 'other'), makeTask('tsk_d', 'third')];

describe('requests', () => {
  it('what a session settled is what its requests carry', async () => {
    await start();
    const session = await gateway.session({ version: '2025-06-18', capabilities: { sampling: {} } });
    await gateway.send(rpc('tools/call', { name: 'x', _meta: { progressToken: 'p' } }, 'one'), { session });
    expect(gateway.handled[0]).toMatchObject({
      era: 'legacy',
      protocolVersion: '2025-06-18',
      id: 'one',
      method: 'tools/call',
      scope: undefined,
      capabilities: { sampling: {} },
      logLevel: undefined,
      progressToken: 'p',
      session,
    });
  });

  it('without a session id they are served without one: no questions, the oldest revision, JSON', async () => {
    let answer: unknown;
    await start({
      handle: async (request) => {
        request.client.notify('notifications/progress', { progressToken: 1, progress: 1 });
        answer = await request.client.ask({
          connector: 'c',
          method: 'roots/list',
          params: {},
          confirm: never,
        } as never);
        return result({ canAnswer: request.client.canAnswer('roots/list') });
      },
    });
    const reply = await gateway.send(rpc('tools/call', { _meta: { progressToken: 1 } }));
    expect(reply.headers['content-type']).toBe('application/json');
    expect(reply.body).toEqual({ jsonrpc: '2.0', id: 1, result: { canAnswer: false } });
    expect(answer).toMatchObject({ error: { message: 'the client cannot be asked roots/list' } });
    expect(gateway.handled[0]).toMatchObject({ protocolVersion: '2025-03-26', session: undefined });
    await gateway.send(rpc('tools/call'), { headers: { 'MCP-Protocol-Version': '2025-06-18' } });
    expect(gateway.handled[1]).toMatchObject({ protocolVersion: '2025-06-18' });
    expect(gateway.edge.sessions).toBe(0);
  });

  it('without a session, a client that goes has its call cancelled', async () => {
    let reason: string | undefined;
    await start({
      handle: (request) =>
        new Promise((resolve) => {
          request.cancellation.onCancel((why) => {
            reason = why;
            resolve(result());
          });
        }),
    });
    const { call, events } = gateway.begin(rpc('tools/call'));
    while (gateway.handled.length === 0) await gateway.time.settle();
    call.destroy();
    await expect(events).rejects.toThrow();
    while (reason === undefined) await gateway.time.settle();
    expect(reason).toBe('the client disconnected');
  });

  it('a version that contradicts the session’s is refused', async () => {
    await start();
    const session = await gateway.session({ version: '2025-06-18' });
    const headers = { 'MCP-Protocol-Version': '2025-11-25' };
    for (const [body, verb] of [
      [LIST, 'POST'],
      [undefined, 'GET'],
      [undefined, 'DELETE'],
    ] as const) {
      expect((await gateway.send(body, { session, headers, verb })).status).toBe(400);
    }
    expect((await gateway.send(LIST, { session, headers: { 'MCP-Protocol-Version': '2025-06-18' } })).status).toBe(200);
  });

  it('ping is answered, and asks nobody', async () => {
    await start();
    expect((await gateway.send(rpc('ping', {}, 'p'))).body).toEqual({ jsonrpc: '2.0', id: 'p', result: {} });
    expect(gateway.handled).toEqual([]);
  });

  it('a fault of a method is a refusal', async () => {
    await start({
      handle: () => {
        throw new Error('the engine is on fire');
      },
    });
    const answer = await gateway.send(rpc('tools/call'));
    expect(answer.status).toBe(503);
    expect(answer.text).not.toContain('fire');
  });

  it('the outcome is recorded once the reply is on its way', async () => {
    const recorded: string[] = [];
    await start({ handle: () => ({ ...result(), recordOutcome: () => recorded.push('outcome') }) });
    await gateway.send(rpc('tools/call'));
    expect(recorded).toEqual(['outcome']);
  });

  it('log messages: all of them until a level is set, then from that on', async () => {
    await start({
      handle: ({ method, client }) => {
        if (method !== 'tools/call') return result();
        for (const level of ['debug', 'warning', 'error', 'nonsense'])
          client.notify('notifications/message', { level });
        return result();
      },
    });
    const session = await gateway.session();
    const levels = async (): Promise<unknown[]> => {
      const events = await (await gateway.stream(rpc('tools/call'), { session })).rest();
      return events
        .filter(({ data }) => data?.includes('level'))
        .map(({ data }) => JSON.parse(data as string).params.level);
    };
    expect(await levels()).toEqual(['debug', 'warning', 'error', 'nonsense']);
    expect((await gateway.send(rpc('logging/setLevel', { level: 'warning' }), { session })).body.result).toEqual({});
    expect(await levels()).toEqual(['warning', 'error']);
    expect(gateway.handled.at(-1)?.logLevel).toBe('warning');
  });

  it('a level that was refused changes nothing', async () => {
    await start({ handle: () => ({ reply: { error: { code: -32602, message: 'no' } } }) });
    const session = await gateway.session();
    await gateway.send(rpc('logging/setLevel', { level: 'emergency' }), { session });
    await gateway.send(rpc('tools/call'), { session });
    expect(gateway.handled.at(-1)?.logLevel).toBeUndefined();
  });

  it('changed roots are told on', async () => {
    const told: string[] = [];
    await start({ onRootsChanged: (caller) => told.push(caller.task.id) });
    const session = await gateway.session();
    await gateway.send(note('notifications/roots/list_changed'), { session });
    expect(told).toEqual(['tsk_a']);
  });
});

describe('batches', () => {
  const ping = (id: number): object => rpc('ping', {}, id);

  it('2025-03-26: each member goes its way, and the answers are one array', async () => {
    await start({ handle: ({ params }) => result({ name: params.name }) });
    const session = await gateway.session({ version: '2025-03-26' });
    const batch = [
      rpc('tools/call', { name: 'a' }, 1),
      note('notifications/progress'),
      ping(2),
      rpc('initialize', {}, 3),
      { jsonrpc: '2.0', id: 4, method: 5 },
    ];
    const { body, status } = await gateway.send(batch, { session });
    expect(status).toBe(200);
    const byId = Object.fromEntries(body.map((one: { id: number }) => [one.id, one]));
    expect(byId[1].result).toEqual({ name: 'a' });
    expect(byId[2].result).toEqual({});
    expect(byId[3].error.code).toBe(-32600);
    expect(byId[4].error.code).toBe(-32600);
    expect(gateway.edge.sessions).toBe(1);
  });

  it('an absent version header counts as 2025-03-26', async () => {
    await start();
    expect((await gateway.send([ping(1), ping(2)])).body).toHaveLength(2);
  });

  it('notifications alone are accepted without an answer', async () => {
    await start();
    const session = await gateway.session({ version: '2025-03-26' });
    expect((await gateway.send([note('notifications/initialized')], { session })).status).toBe(202);
  });

  it.each([
    ['an empty one', [], {}],
    ['more than fifty', Array.from({ length: 51 }, (_, id) => ping(id)), {}],
    ['a later revision', [ping(1)], { 'MCP-Protocol-Version': '2025-06-18' }],
  ])('%s is refused', async (_name, batch, headers) => {
    await start();
    const answer = await gateway.send(batch, { headers });
    expect(answer.status).toBe(400);
    expect(answer.body.error.code).toBe(-32600);
  });

  it('a later session is no place for one', async () => {
    await start();
    const session = await gateway.session({ version: '2025-11-25' });
    expect((await gateway.send([ping(1)], { session })).body.error.code).toBe(-32600);
  });

  it('becomes a stream when something has to be said before the answers', async () => {
    await start({
      handle: async ({ client, params }) => {
        if (params.name === 'loud') client.notify('notifications/message', { level: 'info' });
        return result();
      },
    });
    const session = await gateway.session({ version: '2025-03-26' });
    const events = await gateway.stream([rpc('tools/call', { name: 'loud' }, 1), ping(2)], { session });
    const messages = (await events.rest()).map(({ data }) => JSON.parse(data as string));
    expect(messages.filter(({ method }) => method !== undefined)).toHaveLength(1);
    expect(messages.flatMap(({ id }) => id ?? []).sort()).toEqual([1, 2]);
  });

  it('what is too large to hold is refused in one, and let go of', async () => {
    let isLeft = false;
    async function* chunks(): AsyncGenerator<Buffer> {
      try {
        for (;;) yield Buffer.from('{');
      } finally {
        isLeft = true;
      }
    }
    await start({ handle: () => ({ reply: { resultChunks: chunks() } }) });
    const { body } = await gateway.send([rpc('tools/call', {}, 1)]);
    expect(body[0].error.message).toContain('too large for a batch');
    expect(isLeft).toBe(true);
  });
});
