import { randomBytes } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import { Cancellation } from '../../src/domain/cancellation.ts';
import type { TaskId } from '../../src/domain/ids.ts';
import type { JsonObject } from '../../src/domain/json.ts';
import { createRounds } from '../../src/gateway/bridge/create-rounds.ts';
import { createSealer } from '../../src/gateway/bridge/sealer.ts';
import type { ClientRequest, MethodAnswer, Question } from '../../src/gateway/client-request.ts';
import type { ClientAnswer } from '../../src/seams/upstream.ts';
import { makeCaller, makeRequest, QUIET, SHOP, small } from '../support/fake-bridge-parts.ts';
import { createFakeTime } from '../support/fake-lease-time.ts';

const KEY = randomBytes(32);
const ALICE = makeCaller('tsk_a', 'alice');
const FORM = { message: 'How many?', requestedSchema: { type: 'object', properties: {} } };

/** The call below the rounds, as the pipeline would run it: the test asks through it and ends it. */
interface Below {
  readonly request: ClientRequest;
  ask(method: Question['method'], params?: JsonObject, confirm?: Question['confirm']): Promise<ClientAnswer>;
  finish(answer: MethodAnswer): void;
  fail(error: Error): void;
}

function makeWorld(options: { maxPerTask?: number; max?: number; node?: string } = {}) {
  const time = createFakeTime(1_800_000_000_000);
  const sealer = createSealer({ key: KEY, node: options.node ?? 'node-1', clock: time.clock, random: randomBytes });
  const rounds = createRounds({
    sealer,
    clock: time.clock,
    schedule: time.schedule,
    random: randomBytes,
    log: QUIET,
    maxPerTask: options.maxPerTask ?? 8,
    max: options.max ?? 512,
    ttlMs: 20_000,
  });
  const calls: Below[] = [];
  const start = (request: ClientRequest): Promise<MethodAnswer> =>
    new Promise((finish, fail) => {
      calls.push({
        request,
        ask: (method, params = FORM, confirm = async () => true) =>
          request.client.ask({ connector: SHOP, method, params, confirm }),
        finish,
        fail,
      });
    });
  const send = (request: ClientRequest, caller = ALICE) => rounds.answer(caller, request, start);
  const last = () => calls.at(-1) as Below;
  /** Runs a first request up to its `input_required`. */
  async function park(questions: (below: Below) => void, request = makeRequest('modern'), caller = ALICE) {
    const answer = send(request, caller);
    questions(last());
    await time.advance(10);
    return { below: last(), round: roundOf(await answer) };
  }
  return { time, sealer, rounds, calls, send, last, park, start };
}

interface Round {
  readonly resultType: string;
  readonly inputRequests: Record<string, { method: string; params: JsonObject }>;
  readonly requestState: string;
}

function roundOf({ reply }: MethodAnswer): Round {
  if (!('result' in reply)) throw new Error(`no round: ${JSON.stringify(reply)}`);
  expect(JSON.parse(reply.resultText)).toEqual(reply.result);
  expect(reply.result.resultType).toBe('input_required');
  return reply.result as unknown as Round;
}

const retry = (round: Round, inputResponses: unknown, more: Partial<ClientRequest> = {}): ClientRequest => {
  const request = makeRequest('modern', { id: 2, ...more });
  return { ...request, params: { ...request.params, inputResponses, requestState: round.requestState } };
};

const ACCEPT = { action: 'accept', content: { n: 2 } };
const DONE: MethodAnswer = { reply: small({ content: [], resultType: 'complete' }) };

describe('a legacy upstream asks a modern client', () => {
  it('the call is parked, its question is the answer, and the retry goes on with the same call', async () => {
    const world = makeWorld();
    let answered: Promise<ClientAnswer> | undefined;
    const { below, round } = await world.park((call) => {
      answered = call.ask('elicitation/create', { ...FORM, _meta: { progressToken: 9 }, elicitationId: 'x' });
    });
    expect(round.inputRequests).toEqual({ 'question-1': { method: 'elicitation/create', params: FORM } });
    expect(world.rounds.size).toBe(1);
    const final = world.send(retry(round, { 'question-1': { ...ACCEPT, _meta: { role: 'admin' } }, other: 5 }));
    expect(await answered).toEqual({ result: ACCEPT });
    let recorded = 0;
    below.finish({ ...DONE, recordOutcome: () => recorded++ });
    const answer = await final;
    expect(answer.reply).toBe(DONE.reply);
    answer.recordOutcome?.();
    expect(recorded).toBe(1);
    expect(world.calls).toHaveLength(1);
    expect(world.rounds.size).toBe(0);
    expect(world.time.pending).toBe(0);
  });

  it('questions of the same moment are one round: elicitation, sampling and roots', async () => {
    const world = makeWorld();
    const answers: Promise<ClientAnswer>[] = [];
    const { below, round } = await world.park((call) => {
      answers.push(call.ask('elicitation/create'));
      answers.push(call.ask('sampling/createMessage', { messages: [], maxTokens: 5 }));
      answers.push(call.ask('roots/list', {}));
    });
    expect(Object.values(round.inputRequests).map(({ method }) => method)).toEqual([
      'elicitation/create',
      'sampling/createMessage',
      'roots/list',
    ]);
    const sampled = { role: 'assistant', model: 'm', content: { type: 'text', text: 'hi' } };
    const roots = { roots: [{ uri: 'file:///a' }] };
    const final = world.send(
      retry(round, { 'question-1': { action: 'decline' }, 'question-2': sampled, 'question-3': roots }),
    );
    expect(await Promise.all(answers)).toEqual([
      { result: { action: 'decline' } },
      { result: sampled },
      { result: roots },
    ]);
    below.finish(DONE);
    expect((await final).reply).toBe(DONE.reply);
  });

  it('a second question is a second round under another state', async () => {
    const world = makeWorld();
    const { below, round } = await world.park((call) => void call.ask('elicitation/create'));
    const second = world.send(retry(round, { 'question-1': ACCEPT }));
    await world.time.settle();
    void below.ask('elicitation/create');
    await world.time.advance(10);
    const next = roundOf(await second);
    expect(Object.keys(next.inputRequests)).toEqual(['question-2']);
    expect(next.requestState).not.toBe(round.requestState);
    expect((await world.send(retry(round, { 'question-2': ACCEPT }))).reply).toMatchObject({ error: { code: -32602 } });
    const third = world.send(retry(next, { 'question-2': ACCEPT }));
    below.finish(DONE);
    expect((await third).reply).toBe(DONE.reply);
  });

  it('a question that came while the client was thinking is asked next', async () => {
    const world = makeWorld();
    const { below, round } = await world.park((call) => void call.ask('elicitation/create'));
    void below.ask('roots/list', {});
    await world.time.advance(100);
    const second = world.send(retry(round, { 'question-1': ACCEPT }));
    await world.time.advance(10);
    expect(Object.keys(roundOf(await second).inputRequests)).toEqual(['question-2']);
  });

  it.each([
    ['missing', {}],
    ['under a wrong key', { wrong: ACCEPT }],
    ['a number', { 'question-1': 12345 }],
    ['without an action', { 'question-1': { content: {} } }],
    ['of another action', { 'question-1': { action: 'obey' } }],
    ['absent altogether', undefined],
  ])('an answer that is %s is asked for again', async (_what, responses) => {
    const world = makeWorld();
    let answered: Promise<ClientAnswer> | undefined;
    const { below, round } = await world.park((call) => {
      answered = call.ask('elicitation/create');
    });
    const second = world.send(retry(round, responses));
    await world.time.advance(10);
    const again = roundOf(await second);
    expect(again.inputRequests).toEqual(round.inputRequests);
    const final = world.send(retry(again, { 'question-1': ACCEPT }));
    expect(await answered).toEqual({ result: ACCEPT });
    below.finish(DONE);
    await final;
  });

  it('of several answers the good one goes on, and only the missing one is asked for again', async () => {
    const world = makeWorld();
    const answers: Promise<ClientAnswer>[] = [];
    const { round } = await world.park((call) => {
      answers.push(call.ask('elicitation/create'), call.ask('roots/list', {}));
    });
    const second = world.send(retry(round, { 'question-2': { roots: [] } }));
    expect(await answers[1]).toEqual({ result: { roots: [] } });
    await world.time.advance(10);
    expect(Object.keys(roundOf(await second).inputRequests)).toEqual(['question-1']);
  });

  it('null for answers is an error of the request, and the call waits on', async () => {
    const world = makeWorld();
    const { round } = await world.park((call) => void call.ask('elicitation/create'));
    expect((await world.send(retry(round, null))).reply).toMatchObject({ error: { code: -32602 } });
    expect(world.rounds.size).toBe(1);
  });

  it('a question that the client has not declared goes back as −32021, and nothing is parked', async () => {
    const world = makeWorld();
    const capabilities = { elicitation: { form: {} } };
    const answer = world.send(makeRequest('modern', { capabilities }));
    const { request } = world.last();
    expect(request.client.canAnswer('elicitation/create')).toBe(true);
    expect(request.client.canAnswer('sampling/createMessage')).toBe(false);
    expect(await world.last().ask('sampling/createMessage', {})).toMatchObject({
      error: { code: -32021, data: { requiredCapabilities: { sampling: {} } } },
    });
    expect(await world.last().ask('elicitation/create', { mode: 'url', url: 'https://x' })).toMatchObject({
      error: { code: -32021 },
    });
    world.last().finish(DONE);
    expect((await answer).reply).toBe(DONE.reply);
    expect(world.rounds.size).toBe(0);
  });

  it('a retry that declares less is asked less', async () => {
    const world = makeWorld();
    let answered: Promise<ClientAnswer> | undefined;
    const { below, round } = await world.park((call) => {
      answered = call.ask('elicitation/create');
    });
    const second = world.send(retry(round, {}, { capabilities: { sampling: {} } }));
    await world.time.advance(10);
    expect(await answered).toMatchObject({ error: { code: -32021 } });
    below.finish(DONE);
    expect((await second).reply).toBe(DONE.reply);
  });

  it('a client that can answer nothing, and a method without rounds, cost nothing and are never parked', async () => {
    const world = makeWorld();
    const plain = makeRequest('modern', { capabilities: {} });
    void world.send(plain);
    expect(world.last().request).toBe(plain);
    void world.send(makeRequest('modern', { method: 'completion/complete' }));
    expect(world.last().request.client.canAnswer('elicitation/create')).toBe(false);
    expect(await world.last().ask('elicitation/create')).toMatchObject({ error: { code: -32600 } });
  });
});

describe('A17: a retry', () => {
  async function parked() {
    const world = makeWorld();
    const { below, round } = await world.park((call) => void call.ask('elicitation/create'));
    return { world, below, round };
  }

  it.each([
    ['another user', makeCaller('tsk_a', 'mallory')],
    ['another task of the same user', makeCaller('tsk_b', 'alice')],
  ])('I1: of %s gets an error, and the call waits on', async (_who, caller) => {
    const { world, round } = await parked();
    const reply = (await world.send(retry(round, { 'question-1': ACCEPT }), caller)).reply;
    expect(reply).toMatchObject({ error: { code: -32602 } });
    expect(world.rounds.size).toBe(1);
    expect(world.calls).toHaveLength(1);
  });

  it.each([
    ['other arguments', { params: { name: 'buy', arguments: { item: 'gold' } } }],
    ['another method', { method: 'prompts/get' }],
    ['another endpoint', { scope: SHOP }],
  ])('A47: for %s is refused', async (_what, more) => {
    const { world, round } = await parked();
    const reply = (await world.send(retry(round, { 'question-1': ACCEPT }, more))).reply;
    expect(reply).toMatchObject({ error: { code: -32602, message: /as it was/ } });
    expect(world.rounds.size).toBe(1);
  });

  it('may write its members in another order, and has an envelope of its own', async () => {
    const { world, below, round } = await parked();
    const params = { _meta: { progressToken: 3 }, arguments: { item: 'tea' }, name: 'buy' };
    const final = world.send(retry(round, { 'question-1': ACCEPT }, { params }));
    below.finish(DONE);
    expect((await final).reply).toBe(DONE.reply);
  });

  it('with a state that was tampered with is refused', async () => {
    const { world, round } = await parked();
    for (const requestState of [`${round.requestState}-TAMPERED`, 'r1.x', '', 7]) {
      const request = makeRequest('modern');
      const reply = (await world.send({ ...request, params: { ...request.params, requestState } })).reply;
      expect(reply).toMatchObject({ error: { code: -32602 } });
    }
    expect(world.calls).toHaveLength(1);
  });

  it('that is replayed is refused: while the call goes on, and when it is over', async () => {
    const { world, below, round } = await parked();
    const final = world.send(retry(round, { 'question-1': ACCEPT }));
    expect((await world.send(retry(round, { 'question-1': ACCEPT }))).reply).toMatchObject({
      error: { code: -32602, message: /used once/ },
    });
    below.finish(DONE);
    await final;
    expect((await world.send(retry(round, { 'question-1': ACCEPT }))).reply).toMatchObject({
      error: { code: -32602, message: /used once/ },
    });
  });

  it('at another node is told so', async () => {
    const { round } = await parked();
    const other = makeWorld({ node: 'node-2' });
    expect((await other.send(retry(round, { 'question-1': ACCEPT }))).reply).toMatchObject({
      error: { code: -31002, message: /node node-1/ },
    });
  });

  it('with the state of a modern upstream is a call like any other', async () => {
    const world = makeWorld();
    const requestState = world.sealer.seal('request_state', ALICE, { s: 'x' }, 1_000);
    const request = makeRequest('modern', { params: { name: 'buy', requestState } });
    const answer = world.send(request);
    expect(world.last().request.params.requestState).toBe(requestState);
    world.last().finish(DONE);
    expect((await answer).reply).toBe(DONE.reply);
  });

  it('D5: goes on only if the task may still make the call; a refusal ends it', async () => {
    const world = makeWorld();
    let answered: Promise<ClientAnswer> | undefined;
    let asked = 0;
    const { below, round } = await world.park((call) => {
      answered = call.ask('elicitation/create', FORM, async () => {
        asked += 1;
        return false;
      });
    });
    const reply = (await world.send(retry(round, { 'question-1': ACCEPT }))).reply;
    expect(reply).toMatchObject({ refusal: { kind: 'unavailable', code: 'ERR_TASK_REFUSED' } });
    expect(asked).toBe(1);
    expect(await answered).toMatchObject({ error: {} });
    expect(below.request.cancellation.isCancelled).toBe(true);
    let recorded = 0;
    below.finish({ ...DONE, recordOutcome: () => recorded++ });
    await world.time.settle();
    expect(recorded).toBe(1);
    expect(world.rounds.size).toBe(0);
    expect(world.time.pending).toBe(0);
  });

  it('D5: a decision that cannot be made is a refusal (D1)', async () => {
    const world = makeWorld();
    const { round } = await world.park(
      (call) => void call.ask('elicitation/create', FORM, () => Promise.reject(new Error('journal full'))),
    );
    expect((await world.send(retry(round, { 'question-1': ACCEPT }))).reply).toMatchObject({ refusal: {} });
  });
});

describe('what a parked call costs is bounded', () => {
  it('V2: the end of a task ends its parked calls, and nobody else’s', async () => {
    const world = makeWorld();
    let answered: Promise<ClientAnswer> | undefined;
    const { below, round } = await world.park((call) => {
      answered = call.ask('elicitation/create');
    });
    const other = await world.park(
      (call) => void call.ask('elicitation/create'),
      makeRequest('modern'),
      makeCaller('tsk_b', 'bob'),
    );
    world.rounds.endTask('tsk_a' as TaskId);
    expect(below.request.cancellation.reason).toBe('the task has ended');
    expect(await answered).toMatchObject({ error: { message: 'the task has ended' } });
    expect(other.below.request.cancellation.isCancelled).toBe(false);
    expect(world.rounds.size).toBe(1);
    expect((await world.send(retry(round, { 'question-1': ACCEPT }))).reply).toMatchObject({ error: { code: -32602 } });
    world.rounds.closeAll();
    expect(other.below.request.cancellation.isCancelled).toBe(true);
    expect(world.rounds.size).toBe(0);
    expect(world.time.pending).toBe(0);
  });

  it('a client that does not come back: the call is cancelled and its outcome recorded', async () => {
    const world = makeWorld();
    const { below } = await world.park((call) => void call.ask('elicitation/create'));
    await world.time.advance(19_000);
    expect(below.request.cancellation.isCancelled).toBe(false);
    await world.time.advance(1_001);
    expect(below.request.cancellation.reason).toMatch(/did not come back/);
    expect(world.rounds.size).toBe(0);
    let recorded = 0;
    below.finish({ ...DONE, recordOutcome: () => recorded++ });
    await world.time.settle();
    expect(recorded).toBe(1);
  });

  it('fault 27: a call that ends while its client thinks is recorded at once, and its reply waits for the retry', async () => {
    const world = makeWorld();
    const { below, round } = await world.park((call) => void call.ask('elicitation/create'));
    let recorded = 0;
    below.finish({ reply: { error: { code: -32603, message: 'gone' } }, recordOutcome: () => recorded++ });
    await world.time.settle();
    expect(recorded).toBe(1);
    const answer = await world.send(retry(round, { 'question-1': ACCEPT }));
    expect(answer).toEqual({ reply: { error: { code: -32603, message: 'gone' } } });
    expect(world.rounds.size).toBe(0);
    expect(world.time.pending).toBe(0);
  });

  it('a large result that nobody waits for is let go, not held', async () => {
    const world = makeWorld();
    const { below, round } = await world.park((call) => void call.ask('elicitation/create'));
    let isEnded = false;
    async function* chunks() {
      try {
        yield Buffer.from('{');
        yield Buffer.from('}');
      } finally {
        isEnded = true;
      }
    }
    below.finish({ reply: { resultChunks: chunks() } });
    await world.time.settle();
    expect(isEnded).toBe(true);
    expect((await world.send(retry(round, {}))).reply).toMatchObject({ error: { message: /too large to keep/ } });
  });

  it('a fault below reaches whoever waits', async () => {
    const world = makeWorld();
    const { below, round } = await world.park((call) => void call.ask('elicitation/create'));
    const final = world.send(retry(round, { 'question-1': ACCEPT }));
    below.fail(new Error('journal full'));
    await expect(final).rejects.toThrow('journal full');
    expect(world.rounds.size).toBe(0);
  });

  it('a client that closes its stream calls the call off, in the first request and in a retry', async () => {
    const world = makeWorld();
    const first = new Cancellation();
    const answer = world.send(makeRequest('modern', { cancellation: first }));
    first.cancel('closed');
    expect(world.last().request.cancellation.isCancelled).toBe(true);
    world.last().finish(DONE);
    await answer;

    const opening = new Cancellation();
    const { below, round } = await world.park(
      (call) => void call.ask('elicitation/create'),
      makeRequest('modern', { cancellation: opening }),
    );
    // The stream of a request that has got its answer closes: that says nothing about the call.
    opening.cancel('closed');
    expect(below.request.cancellation.isCancelled).toBe(false);
    const cancellation = new Cancellation();
    const final = world.send(retry(round, { 'question-1': ACCEPT }, { cancellation }));
    cancellation.cancel('closed');
    expect(below.request.cancellation.isCancelled).toBe(true);
    below.finish(DONE);
    await final;
    expect(world.rounds.size).toBe(0);
  });

  it('I3: so many a task and so many in all; beyond that the server gets an error', async () => {
    const world = makeWorld({ maxPerTask: 2, max: 3 });
    const bob = makeCaller('tsk_b', 'bob');
    for (const caller of [ALICE, ALICE, bob]) {
      await world.park((call) => void call.ask('elicitation/create'), makeRequest('modern'), caller);
    }
    for (const caller of [ALICE, bob]) {
      const answer = world.send(makeRequest('modern'), caller);
      const asked = world.last().ask('elicitation/create');
      await world.time.advance(10);
      expect(await asked).toMatchObject({ error: { message: /too many calls/ } });
      world.last().finish(DONE);
      expect((await answer).reply).toBe(DONE.reply);
    }
    expect(world.rounds.size).toBe(3);
  });

  it('I3: a server that asks without end gets an error', async () => {
    const world = makeWorld();
    void world.send(makeRequest('modern'));
    const answers = Array.from({ length: 20 }, () => world.last().ask('elicitation/create'));
    expect(await answers[16]).toMatchObject({ error: { message: /too many questions/ } });
  });

  it('fault 32: notifications while parked are kept, bounded, and reach the retry under its own token', async () => {
    const world = makeWorld();
    const heard: [string, JsonObject][] = [];
    const client = { ...makeRequest('modern').client, notify: (m: string, p: JsonObject) => void heard.push([m, p]) };
    const { below, round } = await world.park(
      (call) => void call.ask('elicitation/create'),
      makeRequest('modern', { progressToken: 'first', client }),
    );
    const { notify } = below.request.client;
    for (let progress = 0; progress < 100; progress++) {
      notify.call(below.request.client, 'notifications/progress', { progressToken: 'first', progress });
    }
    below.request.client.notify('notifications/message', { level: 'info', data: 'dropped: beyond the bound' });
    expect(heard).toEqual([]);
    const final = world.send(retry(round, { 'question-1': ACCEPT }, { progressToken: 'second', client }));
    expect(heard).toHaveLength(32);
    expect(heard[0]).toEqual(['notifications/progress', { progressToken: 'second', progress: 0 }]);
    below.request.client.notify('notifications/message', { level: 'info', data: 'nobody asked for logs' });
    expect(heard).toHaveLength(32);
    below.finish(DONE);
    await final;
  });

  it('A09: parallel calls with equal ids do not mix', async () => {
    const world = makeWorld();
    const carol = makeCaller('tsk_b', 'carol');
    const asked: Promise<ClientAnswer>[] = [];
    const one = await world.park(
      (call) => void asked.push(call.ask('elicitation/create', { ...FORM, message: 'one' })),
    );
    const two = await world.park(
      (call) => void asked.push(call.ask('elicitation/create', { ...FORM, message: 'two' })),
      makeRequest('modern'),
      carol,
    );
    const second = world.send(
      retry(two.round, { 'question-1': { action: 'accept', content: { who: 'carol' } } }),
      carol,
    );
    const first = world.send(retry(one.round, { 'question-1': { action: 'accept', content: { who: 'alice' } } }));
    expect(await Promise.all(asked)).toMatchObject([
      { result: { content: { who: 'alice' } } },
      { result: { content: { who: 'carol' } } },
    ]);
    one.below.finish({ reply: small({ for: 'alice' }) });
    two.below.finish({ reply: small({ for: 'carol' }) });
    expect((await first).reply).toMatchObject({ result: { for: 'alice' } });
    expect((await second).reply).toMatchObject({ result: { for: 'carol' } });
  });
});
