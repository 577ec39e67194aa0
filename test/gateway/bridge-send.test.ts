import { describe, expect, it } from 'vitest';
import { Cancellation } from '../../src/domain/cancellation.ts';
import { RemitError } from '../../src/domain/errors.ts';
import type { JsonObject } from '../../src/domain/json.ts';
import { unsealMcpTask } from '../../src/gateway/bridge/handles.ts';
import { inputMembers } from '../../src/gateway/bridge/request-state.ts';
import { sendBridged } from '../../src/gateway/bridge/send.ts';
import type { ClientAnswer, ErrorReply, SmallResult, UpstreamReply } from '../../src/seams/upstream.ts';
import {
  CALL,
  EVERYTHING,
  ITEM,
  makeCaller,
  makeParts,
  makeRequest,
  makeTo,
  makeUpstream,
  SHOP,
  small,
} from '../support/fake-bridge-parts.ts';

const FORM = { message: 'How many?', requestedSchema: { type: 'object', properties: {} } };
const ELICIT = { method: 'elicitation/create', params: FORM };
const SAMPLE = { method: 'sampling/createMessage', params: { messages: [], maxTokens: 5 } };
const ROOTS = { method: 'roots/list', params: {} };

const textOf = (reply: UpstreamReply): string => (reply as SmallResult).resultText;
const parsed = (reply: UpstreamReply): JsonObject => JSON.parse(textOf(reply)) as JsonObject;
const errorOf = (reply: UpstreamReply) => (reply as ErrorReply).error;

async function chunksOf(reply: UpstreamReply): Promise<string> {
  if (!('resultChunks' in reply)) throw new Error('not large');
  const out: Buffer[] = [];
  for await (const chunk of reply.resultChunks) out.push(chunk);
  return Buffer.concat(out).toString();
}

async function* pieces(...texts: string[]) {
  for (const text of texts) yield Buffer.from(text);
}

const round = (inputRequests: JsonObject | undefined, requestState?: string): SmallResult =>
  small({
    resultType: 'input_required',
    ...(inputRequests && { inputRequests }),
    ...(requestState !== undefined && { requestState }),
  });

describe('the same era on both sides', () => {
  it.each([
    ['legacy', { result: { content: [], n: 1 }, resultText: '{"content":[], "n":12345678901234567890}' }],
    [
      'modern',
      { result: { resultType: 'complete' }, resultText: '{ "resultType":"complete","n":12345678901234567890}' },
    ],
    ['legacy', { error: { code: -32002, message: 'no such resource' } }],
    ['modern', { error: { code: -32602, message: 'no such resource', data: { uri: 'a:b' } } }],
    ['legacy', { resultChunks: pieces('{}') }],
    ['modern', { resultChunks: pieces('{}') }],
  ] as const)('%s: what came is passed as it came', async (era, reply) => {
    const { gateway } = makeParts();
    const upstream = makeUpstream(era, () => reply);
    expect(await sendBridged(gateway, upstream, CALL, makeTo(makeRequest(era)))).toBe(reply);
    expect(upstream.calls[0]).toBe(CALL);
  });

  it('modern: a result for all to keep becomes one for this client, and a result without a kind gets one', async () => {
    const { gateway } = makeParts();
    const reply = {
      result: { resultType: 'complete', cacheScope: 'public' },
      resultText: '{"resultType":"complete","n":1e2,"cacheScope":"public"}',
    };
    const sent = await sendBridged(
      gateway,
      makeUpstream('modern', () => reply),
      CALL,
      makeTo(makeRequest('modern')),
    );
    expect(textOf(sent)).toBe('{"resultType":"complete","n":1e2,"cacheScope":"private"}');
    const bare = await sendBridged(
      gateway,
      makeUpstream('modern', () => small({ a: 1 })),
      CALL,
      makeTo(makeRequest('modern')),
    );
    expect(parsed(bare)).toEqual({ a: 1, resultType: 'complete' });
  });

  it('modern: a kind of result that nobody knows is an error', async () => {
    const { gateway } = makeParts();
    const upstream = makeUpstream('modern', () => small({ resultType: 'surprise' }));
    expect(errorOf(await sendBridged(gateway, upstream, CALL, makeTo(makeRequest('modern')))).code).toBe(-32603);
  });

  it.each([-32020, -32022])(
    'modern: an error about the hop behind (%i) is not taken for one about the client’s',
    async (code) => {
      const { gateway } = makeParts();
      const upstream = makeUpstream('modern', () => ({ error: { code, message: 'no', data: { supported: ['x'] } } }));
      const error = errorOf(await sendBridged(gateway, upstream, CALL, makeTo(makeRequest('modern'))));
      expect(error).toEqual({ code: -32603, message: `the connector refused the call (${code}): no` });
    },
  );
});

describe('A17: rounds of a modern upstream with a modern client', () => {
  it('its state is sealed, and goes back to it byte for byte with the answers', async () => {
    const { gateway, sealer } = makeParts();
    const state = 'ü"\\ inner state';
    const upstream = makeUpstream('modern', () => round({ a: ELICIT, b: SAMPLE, c: ROOTS }, state));
    const request = makeRequest('modern');
    const to = makeTo(request);
    const reply = parsed(await sendBridged(gateway, upstream, CALL, to));
    expect(reply).toMatchObject({ resultType: 'input_required', inputRequests: { a: ELICIT, b: SAMPLE, c: ROOTS } });
    expect(reply.requestState).toMatch(/^r1\./);

    const inputResponses = { a: { action: 'accept' } };
    const retry = {
      ...request,
      id: 2,
      params: { ...request.params, inputResponses, requestState: reply.requestState },
    };
    expect(inputMembers(sealer, to.caller, SHOP, retry)).toBe(
      `,"inputResponses":{"a":{"action":"accept"}},"requestState":${JSON.stringify(state)}`,
    );
    const other = { ...retry, params: { ...retry.params, arguments: { item: 'gold' } } };
    expect(inputMembers(sealer, to.caller, SHOP, other)).toMatchObject({ refusal: { rpcCode: -32602 } });
    expect(inputMembers(sealer, to.caller, 'other' as typeof SHOP, retry)).toMatchObject({ refusal: {} });
    expect(inputMembers(sealer, makeCaller('tsk_a', 'mallory'), SHOP, retry)).toMatchObject({ refusal: {} });
  });

  it('without a state, the answers alone go on; answers that are no object do not', () => {
    const { sealer } = makeParts();
    const request = makeRequest('modern');
    expect(inputMembers(sealer, makeCaller(), SHOP, request)).toBe('');
    const answered = { ...request, params: { inputResponses: { a: 1 } } };
    expect(inputMembers(sealer, makeCaller(), SHOP, answered)).toBe(',"inputResponses":{"a":1}');
    for (const inputResponses of [null, 5, []]) {
      expect(inputMembers(sealer, makeCaller(), SHOP, { ...request, params: { inputResponses } })).toMatchObject({
        refusal: { kind: 'malformed' },
      });
    }
  });

  it.each([
    ['what the owner has not allowed', ['elicitation'] as const, EVERYTHING, { a: ELICIT, b: SAMPLE }, -32603],
    ['what the client has not declared', undefined, { sampling: {} }, { a: ELICIT }, -32021],
    [
      'a URL of a client that shows forms only',
      undefined,
      { elicitation: {} },
      { a: { ...ELICIT, params: { mode: 'url' } } },
      -32021,
    ],
    ['what is no question', undefined, EVERYTHING, { a: { method: 'tools/call' } }, -32603],
    ['a method that objects have of themselves', undefined, EVERYTHING, { a: { method: 'constructor' } }, -32603],
    [
      'too much at once',
      undefined,
      EVERYTHING,
      Object.fromEntries(Array.from({ length: 17 }, (_, at) => [at, ROOTS])),
      -32603,
    ],
  ])('A43: a round that asks for %s fails', async (_what, allowed, capabilities, requests, code) => {
    const { gateway } = makeParts(allowed);
    for (const era of ['modern', 'legacy'] as const) {
      const upstream = makeUpstream('modern', () => round(requests, 's'));
      let asked = 0;
      const client = { notify() {}, ask: async (): Promise<ClientAnswer> => ({ result: { n: asked++ } }) };
      const to = makeTo(makeRequest(era, { capabilities }));
      const error = errorOf(await sendBridged(gateway, upstream, { ...CALL, client }, to));
      expect(error.code).toBe(era === 'modern' ? code : -32603);
      expect(asked).toBe(0);
      expect(upstream.calls).toHaveLength(1);
    }
  });

  it('a check of the pipeline sees each round, may clean it, and may end the call', async () => {
    const { gateway } = makeParts();
    const upstream = makeUpstream('modern', () => round({ a: ELICIT }));
    const cleaned = { a: { ...ELICIT, params: { message: 'clean' } } };
    const sent = await sendBridged(gateway, upstream, CALL, {
      ...makeTo(makeRequest('modern')),
      checkRound: async (requests) => {
        expect(requests).toEqual({ a: ELICIT });
        return { inputRequests: cleaned };
      },
    });
    expect(parsed(sent)).toEqual({ resultType: 'input_required', inputRequests: cleaned });
    const ended = { error: { code: -32603, message: 'denied' } };
    const to = { ...makeTo(makeRequest('modern')), checkRound: () => ended };
    expect(await sendBridged(gateway, upstream, CALL, to)).toBe(ended);
  });

  it.each([
    ['a state that is too large', round(undefined, 'x'.repeat(9_000))],
    ['a state that is no text', small({ resultType: 'input_required', requestState: 5 })],
    ['nothing', small({ resultType: 'input_required' })],
    ['a list of questions', small({ resultType: 'input_required', inputRequests: [ELICIT] })],
  ])('a round of %s is an error', async (_what, reply) => {
    const { gateway } = makeParts();
    const sent = await sendBridged(
      gateway,
      makeUpstream('modern', () => reply),
      CALL,
      makeTo(makeRequest('modern')),
    );
    expect(errorOf(sent).code).toBe(-32603);
  });

  it('a round where 2026-07-28 has none is an error', async () => {
    const { gateway } = makeParts();
    const upstream = makeUpstream('modern', () => round({ a: ELICIT }));
    const request = makeRequest('modern', { method: 'completion/complete' });
    expect(
      errorOf(await sendBridged(gateway, upstream, { ...CALL, method: request.method }, makeTo(request))).code,
    ).toBe(-32603);
  });

  it('a client that declared what the owner forbids is not told that it did not', async () => {
    const { gateway } = makeParts([]);
    const error = { code: -32021, message: 'missing', data: { requiredCapabilities: { sampling: {} } } };
    const upstream = makeUpstream('modern', () => ({ error }));
    const declared = await sendBridged(gateway, upstream, CALL, makeTo(makeRequest('modern')));
    expect(errorOf(declared).message).toMatch(/owner has not allowed/);
    const plain = makeTo(makeRequest('modern', { capabilities: {} }));
    expect(errorOf(await sendBridged(gateway, upstream, CALL, plain))).toBe(error);
  });
});

describe('a legacy client and a modern upstream', () => {
  function asking(answers: Record<string, ClientAnswer>) {
    const asked: [string, JsonObject][] = [];
    return {
      asked,
      client: {
        notify() {},
        async ask(method: string, params: JsonObject): Promise<ClientAnswer> {
          asked.push([method, params]);
          return answers[method] ?? { error: { code: -32601, message: 'no' } };
        },
      },
    };
  }
  const ANSWERS: Record<string, ClientAnswer> = {
    'elicitation/create': { result: { action: 'decline', _meta: { role: 'admin' } } },
    'sampling/createMessage': { result: { role: 'assistant', model: 'm', content: { type: 'text', text: 'hi' } } },
    'roots/list': { result: { roots: [] } },
  };

  it('each question is asked, and the call is made again with the answers and the server’s own state', async () => {
    const { gateway } = makeParts();
    const state = 'ü"\\ state';
    const upstream = makeUpstream('modern', (_call, n) =>
      n === 0
        ? round({ a: ELICIT, b: SAMPLE, __proto__x: ROOTS }, state)
        : small({ resultType: 'complete', ttlMs: 5, cacheScope: 'public', content: [] }),
    );
    const { client, asked } = asking(ANSWERS);
    const sent = await sendBridged(gateway, upstream, { ...CALL, client }, makeTo(makeRequest('legacy')));
    expect(textOf(sent)).toBe('{"content":[]}');
    expect(asked.map(([method]) => method)).toEqual(Object.keys(ANSWERS));
    expect(upstream.calls).toHaveLength(2);
    expect(JSON.parse(`{${upstream.calls[1]?.params}}`)).toEqual({
      name: 'buy',
      arguments: { item: 'tea' },
      inputResponses: {
        a: { action: 'decline' },
        b: { role: 'assistant', model: 'm', content: { type: 'text', text: 'hi' } },
        __proto__x: { roots: [] },
      },
      requestState: state,
    });
  });

  it('an error for an answer ends the call, and it is not made again', async () => {
    const { gateway } = makeParts();
    const upstream = makeUpstream('modern', () => round({ a: ELICIT, b: ROOTS }));
    const { client } = asking({ 'elicitation/create': { result: { action: 'accept' } } });
    const sent = await sendBridged(gateway, upstream, { ...CALL, client }, makeTo(makeRequest('legacy')));
    expect(errorOf(sent)).toMatchObject({ code: -32603, message: 'the client did not answer shop: no' });
    expect(upstream.calls).toHaveLength(1);
  });

  it('a URL to open has the id that legacy clients expect', async () => {
    const { gateway } = makeParts();
    const url = { method: 'elicitation/create', params: { mode: 'url', message: 'Sign in', url: 'https://x' } };
    const upstream = makeUpstream('modern', (_call, n) =>
      n === 0 ? round({ a: url }) : small({ resultType: 'complete' }),
    );
    const { client, asked } = asking(ANSWERS);
    await sendBridged(gateway, upstream, { ...CALL, client }, makeTo(makeRequest('legacy')));
    expect(asked[0]?.[1]).toEqual({ ...url.params, elicitationId: 'span-1' });
  });

  it('a server that is never satisfied gets ten rounds', async () => {
    const { gateway } = makeParts();
    const upstream = makeUpstream('modern', () => round({ a: ELICIT }));
    const { client } = asking(ANSWERS);
    const sent = await sendBridged(gateway, upstream, { ...CALL, client }, makeTo(makeRequest('legacy')));
    expect(errorOf(sent).message).toMatch(/after 10 rounds/);
    expect(upstream.calls).toHaveLength(11);
  });

  it('fault 27: the server’s time has one deadline over all rounds; the client’s time does not count', async () => {
    const { gateway, time } = makeParts();
    const upstream = makeUpstream('modern', async () => {
      await time.advance(400);
      return round({ a: ELICIT });
    });
    const client = {
      notify() {},
      async ask(): Promise<ClientAnswer> {
        await time.advance(60_000);
        return { result: { action: 'accept' } };
      },
    };
    const sent = sendBridged(gateway, upstream, { ...CALL, client }, makeTo(makeRequest('legacy')));
    await expect(sent).rejects.toMatchObject({ code: 'ERR_CONNECTOR_TIMEOUT' });
    expect(upstream.calls.map(({ timeoutMs }) => timeoutMs)).toEqual([1_000, 600, 200]);
  });

  it('I2: a later round that could not be written does not pass for a call that had no effect', async () => {
    const { gateway } = makeParts();
    const unsent = new RemitError('ERR_CONNECTOR_UNREACHABLE', 'gone', { isUnsent: true });
    const upstream = makeUpstream('modern', (_call, n) => (n === 0 ? round({ a: ELICIT }) : Promise.reject(unsent)));
    const client = { notify() {}, ask: async (): Promise<ClientAnswer> => ({ result: { action: 'accept' } }) };
    const send = () => sendBridged(gateway, upstream, { ...CALL, client }, makeTo(makeRequest('legacy')));
    await expect(send()).rejects.toMatchObject({ code: 'ERR_CONNECTOR_UNREACHABLE', isUnsent: false });
    // Of the first round, it does.
    await expect(send()).rejects.toBe(unsent);
  });

  it('a server that only wants to be asked again is, after a pause', async () => {
    const { gateway, time } = makeParts();
    const upstream = makeUpstream('modern', (_call, n) =>
      n === 0 ? round(undefined, 's') : small({ resultType: 'complete' }),
    );
    const sent = sendBridged(gateway, upstream, { ...CALL, params: '' }, makeTo(makeRequest('legacy')));
    await time.advance(240);
    expect(upstream.calls).toHaveLength(1);
    await time.advance(20);
    expect(parsed(await sent)).toEqual({});
    expect(upstream.calls[1]?.params).toBe('"requestState":"s"');
  });

  it('V2: a task that ends while a person thinks sends nothing more', async () => {
    const { gateway, end } = makeParts();
    const upstream = makeUpstream('modern', () => round({ a: ELICIT }));
    const client = {
      notify() {},
      async ask(): Promise<ClientAnswer> {
        end('tsk_a');
        return { result: { action: 'accept' } };
      },
    };
    const sent = await sendBridged(gateway, upstream, { ...CALL, client }, makeTo(makeRequest('legacy')));
    expect(errorOf(sent).message).toMatch(/ended while/);
    expect(upstream.calls).toHaveLength(1);
  });

  it('a call that is cancelled does not wait for the client', async () => {
    const { gateway } = makeParts();
    const upstream = makeUpstream('modern', () => round({ a: ELICIT }));
    const cancellation = new Cancellation();
    const client = {
      notify() {},
      ask: (): Promise<ClientAnswer> => {
        queueMicrotask(() => cancellation.cancel('gone'));
        return new Promise(() => {});
      },
    };
    const sent = await sendBridged(gateway, upstream, { ...CALL, client, cancellation }, makeTo(makeRequest('legacy')));
    expect(errorOf(sent).message).toMatch(/cancelled/);
    expect(upstream.calls).toHaveLength(1);
  });

  it.each([
    [{ code: -32021, message: 'missing', data: {} }, { code: -32603 }],
    [{ code: -32022, message: 'version', data: {} }, { code: -32603 }],
    [
      { code: -32602, message: 'none', data: { uri: 'a:b' } },
      { code: -32002, data: { uri: 'a:b' } },
    ],
    [
      { code: -32602, message: 'bad' },
      { code: -32602, message: 'bad' },
    ],
  ])('errors speak its era: %j', async (error, expected) => {
    const { gateway } = makeParts();
    const sent = await sendBridged(
      gateway,
      makeUpstream('modern', () => ({ error })),
      CALL,
      makeTo(makeRequest('legacy')),
    );
    expect(errorOf(sent)).toMatchObject(expected);
  });

  it('what it cannot read is left out: structured content that is no object, and a kind of result that it has not', async () => {
    const { gateway } = makeParts();
    const upstream = makeUpstream('modern', (_call, n) =>
      n === 0
        ? small({ resultType: 'complete', content: [], structuredContent: [1] })
        : small({ resultType: 'task', taskId: 't' }),
    );
    const to = makeTo(makeRequest('legacy'));
    expect(textOf(await sendBridged(gateway, upstream, CALL, to))).toBe('{"content":[]}');
    expect(errorOf(await sendBridged(gateway, upstream, CALL, to)).message).toMatch(/does not have/);
  });
});

describe('a modern client and a legacy upstream', () => {
  it.each([
    ['tools/call', '{"resultType":"complete","content":[],"n":12345678901234567890}'],
    [
      'resources/read',
      '{"resultType":"complete","ttlMs":0,"cacheScope":"private","content":[],"n":12345678901234567890}',
    ],
  ])('%s: the result gets what its era calls for, and stays as it is otherwise', async (method, expected) => {
    const { gateway } = makeParts();
    const upstream = makeUpstream('legacy', () => ({
      result: { content: [] },
      resultText: '{"content":[],"n":12345678901234567890}',
    }));
    const to = makeTo(makeRequest('modern', { method }));
    expect(textOf(await sendBridged(gateway, upstream, { ...CALL, method }, to))).toBe(expected);
  });

  it('a large result gets the same at its head', async () => {
    const { gateway } = makeParts();
    const upstream = makeUpstream('legacy', () => ({ resultChunks: pieces('{', '"content":', '[]}') }));
    const sent = await sendBridged(gateway, upstream, CALL, makeTo(makeRequest('modern')));
    expect(await chunksOf(sent)).toBe('{"resultType":"complete","content":[]}');
  });

  it('A17: modern words in a legacy result cannot make up a round that nobody decided on', async () => {
    const { gateway } = makeParts();
    const upstream = makeUpstream('legacy', () => ({
      result: { resultType: 'input_required', inputRequests: { a: SAMPLE }, requestState: 'x', content: [] },
      resultText: `{"content":[],"resultType":"input_required","inputRequests":{"a":1},"requestState":"x","resultType":"input_required"}`,
    }));
    const sent = await sendBridged(gateway, upstream, CALL, makeTo(makeRequest('modern')));
    expect(textOf(sent)).toBe('{"resultType":"complete","content":[]}');
  });

  it.each([
    [{ code: -32002, message: 'none', data: { uri: 'a:b' } }, { uri: 'a:b' }],
    [{ code: -32002, message: 'none' }, { uri: 'docs://x' }],
  ])('a resource that is not there is said in its era: %j', async (error, data) => {
    const { gateway } = makeParts();
    const to = makeTo(makeRequest('modern', { method: 'resources/read', params: { uri: 'docs://x' } }));
    const sent = await sendBridged(
      gateway,
      makeUpstream('legacy', () => ({ error })),
      { ...CALL, method: 'resources/read' },
      to,
    );
    expect(errorOf(sent)).toEqual({ code: -32602, message: 'none', data });
  });

  it('McpTasks stay in the era that they began in', async () => {
    const { gateway } = makeParts();
    const legacy = makeUpstream('legacy', () => small({ task: { taskId: 't', status: 'working' } }));
    expect(errorOf(await sendBridged(gateway, legacy, CALL, makeTo(makeRequest('modern')))).message).toMatch(/another/);
    const get = { ...CALL, method: 'tasks/get' };
    const to = makeTo(makeRequest('modern', { method: 'tasks/get' }));
    expect(errorOf(await sendBridged(gateway, legacy, get, to)).code).toBe(-31000);
    expect(legacy.calls).toHaveLength(1);
  });
});

describe('UrlElicitationRequired, a question in the guise of an error', () => {
  const error = {
    code: -32042,
    message: 'sign in first',
    data: { elicitations: [{ mode: 'url', url: 'https://x', message: 'm', elicitationId: 'e' }] },
  };

  it('A43: is passed to a client that can do it, if the owner allows it', async () => {
    const upstream = makeUpstream('legacy', () => ({ error }));
    for (const era of ['legacy', 'modern'] as const) {
      const allowed = await sendBridged(makeParts().gateway, upstream, CALL, makeTo(makeRequest(era)));
      expect(errorOf(allowed)).toEqual(error);
      const forbidden = await sendBridged(makeParts(['roots']).gateway, upstream, CALL, makeTo(makeRequest(era)));
      expect(JSON.stringify(forbidden)).not.toContain('https://x');
      const forms = makeTo(makeRequest(era, { capabilities: { elicitation: {} } }));
      expect(JSON.stringify(await sendBridged(makeParts().gateway, upstream, CALL, forms))).not.toContain('https://x');
    }
  });
});

describe('A17: McpTasks are known to clients by sealed handles', () => {
  it('modern: of the task that a call made, and the same one in what is asked about it', async () => {
    const { gateway, sealer, hub } = makeParts();
    const caller = makeCaller();
    const made = makeUpstream('modern', () => small({ resultType: 'task', taskId: 'inner', status: 'working' }));
    const handle = parsed(await sendBridged(gateway, made, CALL, makeTo(makeRequest('modern')))).taskId as string;
    expect(handle).toMatch(/^r1\./);
    expect(unsealMcpTask(sealer, caller, handle)).toEqual({ connector: SHOP, item: ITEM, taskId: 'inner' });
    expect(unsealMcpTask(sealer, makeCaller('tsk_b'), handle)).toBeUndefined();
    expect(unsealMcpTask(sealer, caller, 'inner')).toBeUndefined();
    expect(hub.handleOf(caller.task.id, SHOP, 'inner')).toBe(handle);

    const state = { resultType: 'complete', taskId: 'inner', status: 'input_required', inputRequests: { a: ELICIT } };
    const upstream = makeUpstream('modern', () => small(state));
    const request = makeRequest('modern', { method: 'tasks/get', params: { taskId: handle } });
    const get = { ...CALL, method: 'tasks/get', params: '"taskId":"inner"' };
    expect(parsed(await sendBridged(gateway, upstream, get, makeTo(request)))).toEqual({ ...state, taskId: handle });
    const { gateway: strict } = makeParts([]);
    expect(errorOf(await sendBridged(strict, upstream, get, makeTo(request))).message).toMatch(/not allowed/);
  });

  it('legacy: in CreateTaskResult, in lists and in what is related to it', async () => {
    const { gateway, sealer } = makeParts();
    const related = 'io.modelcontextprotocol/related-task';
    const upstream = makeUpstream('legacy', (call) =>
      call.method === 'tools/call'
        ? small({ task: { taskId: 'inner', status: 'working' } })
        : call.method === 'tasks/list'
          ? small({ tasks: [{ taskId: 'inner' }, { taskId: 'other' }] })
          : small({ content: [], _meta: { [related]: { taskId: 'inner' }, keep: 1 } }),
    );
    const send = async (method: string) =>
      parsed(await sendBridged(gateway, upstream, { ...CALL, method }, makeTo(makeRequest('legacy', { method }))));
    const { taskId } = (await send('tools/call')).task as { taskId: string };
    expect(unsealMcpTask(sealer, makeCaller(), taskId)?.taskId).toBe('inner');
    const listed = (await send('tasks/list')).tasks as { taskId: string }[];
    expect(listed[0]).toEqual({ taskId });
    expect(unsealMcpTask(sealer, makeCaller(), listed[1]?.taskId ?? '')?.taskId).toBe('other');
    expect((await send('tasks/result'))._meta).toEqual({ [related]: { taskId }, keep: 1 });
  });
});

it('A09: parallel calls with equal ids get their own replies', async () => {
  const { gateway } = makeParts();
  const release: (() => void)[] = [];
  const upstream = makeUpstream(
    'legacy',
    (call) => new Promise((resolve) => void release.push(() => resolve(small({ was: call.params })))),
  );
  const sent = ['"n":1', '"n":2', '"n":3'].map((params) =>
    sendBridged(gateway, upstream, { ...CALL, params }, makeTo(makeRequest('modern', { id: 7 }))),
  );
  for (const one of release.reverse()) one();
  expect((await Promise.all(sent)).map((reply) => parsed(reply).was)).toEqual(['"n":1', '"n":2', '"n":3']);
});
