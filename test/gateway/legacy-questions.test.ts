import { afterEach, describe, expect, it } from 'vitest';
import type { JsonObject } from '../../src/domain/json.ts';
import type { ClientRequest, Question } from '../../src/gateway/client-request.ts';
import type { Sink } from '../../src/gateway/events/hub.ts';
import type { ClientAnswer } from '../../src/seams/upstream.ts';
import {
  type FakeLegacy,
  type LegacyOptions,
  note,
  question,
  result,
  rpc,
  startLegacy,
} from '../support/fake-legacy-edge.ts';

let gateway: FakeLegacy;
const start = async (options: LegacyOptions = {}): Promise<void> => {
  gateway = await startLegacy(options);
};
afterEach(() => gateway.close());

const CLIENT = { capabilities: { elicitation: {}, sampling: {} } };
const CALL = rpc('tools/call', { name: 'x' });
const answerTo = (id: unknown, answer: JsonObject): object => ({ jsonrpc: '2.0', id, ...answer });

/** Asks what it is told to, and answers the call with the client's answer. */
const asking =
  (asked: Question = question('elicitation/create', { message: 'sure?' })) =>
  async ({ client }: ClientRequest) =>
    result({ answer: await client.ask(asked) });

describe('a question while a request is under way', () => {
  it.each([
    [
      'a result',
      { result: { action: 'accept', content: { a: 1 } } },
      { result: { action: 'accept', content: { a: 1 } } },
    ],
    ['an error', { error: { code: -1, message: 'no', data: 5 } }, { error: { code: -1, message: 'no', data: 5 } }],
    ['a result that is no object', { result: 7 }, { error: { code: -32603 } }],
    ['an error that is none', { error: { code: 'x' } }, { error: { code: -32603 } }],
    ['both', { result: {}, error: { code: 1, message: 'm' } }, { error: { code: 1 } }],
  ])('goes out on the reply’s stream, and comes back with %s', async (_name, given, seen) => {
    await start({ handle: asking() });
    const session = await gateway.session(CLIENT);
    const events = await gateway.stream(CALL, { session });
    const asked = await events.message();
    expect(asked).toMatchObject({ id: 1, method: 'elicitation/create', params: { message: 'sure?' } });
    expect((await gateway.send(answerTo(asked?.id, given), { session })).status).toBe(202);
    expect(await events.message()).toMatchObject({ id: 1, result: { answer: seen } });
    expect(await events.next()).toBeUndefined();
  });

  it('fault 32, A17: only this session’s answer, under the question’s own id, is one', async () => {
    await start({ handle: asking() });
    const session = await gateway.session(CLIENT);
    const other = await gateway.session({ ...CLIENT, token: 'tsk_b' });
    const events = await gateway.stream(CALL, { session });
    const id = (await events.message())?.id as number;
    const stolen = answerTo(id, { result: { action: 'accept' } });
    expect((await gateway.send(stolen, { session: other, token: 'tsk_b' })).status).toBe(202);
    expect((await gateway.send(stolen, { session, token: 'tsk_b' })).status).toBe(404);
    expect((await gateway.send(stolen)).status).toBe(202);
    for (const wrong of [id + 1, String(id), null]) {
      expect((await gateway.send(answerTo(wrong, { result: { action: 'accept' } }), { session })).status).toBe(202);
    }
    await gateway.send(answerTo(id, { result: { action: 'decline' } }), { session });
    await gateway.send(answerTo(id, { result: { action: 'accept' } }), { session });
    expect(await events.message()).toMatchObject({ result: { answer: { result: { action: 'decline' } } } });
  });

  it('a client that did not declare it, or reads no streams, is not asked', async () => {
    await start({ handle: asking(question('roots/list')) });
    const session = await gateway.session(CLIENT);
    const refused = { result: { answer: { error: { message: 'the client cannot be asked roots/list' } } } };
    expect((await gateway.send(CALL, { session })).body).toMatchObject(refused);
    await gateway.close();
    await start({ handle: asking() });
    const again = await gateway.session(CLIENT);
    const answer = await gateway.send(CALL, { session: again, headers: { Accept: 'application/json' } });
    expect(answer.body).toMatchObject({
      result: { answer: { error: { message: 'the client cannot be asked elicitation/create' } } },
    });
  });

  it('nobody answers: after ten minutes it is withdrawn, and the call goes on', async () => {
    await start({ handle: asking() });
    const session = await gateway.session(CLIENT);
    const events = await gateway.stream(CALL, { session });
    await events.message();
    await gateway.time.advance(600_000);
    expect(await events.message()).toMatchObject({ method: 'notifications/cancelled', params: { requestId: 1 } });
    expect(await events.message()).toMatchObject({
      result: { answer: { error: { message: 'the client did not answer in time' } } },
    });
  });

  it('ends with the request: the client cancels, and is told that the question is moot', async () => {
    let answer: ClientAnswer | undefined;
    await start({
      handle: async ({ client }) => {
        answer = await client.ask(question());
        return result();
      },
    });
    const session = await gateway.session(CLIENT);
    const events = await gateway.stream(CALL, { session });
    await events.message();
    await gateway.send(note('notifications/cancelled', { requestId: 1 }), { session });
    expect(await events.message()).toMatchObject({ method: 'notifications/cancelled' });
    await events.rest();
    expect(answer).toMatchObject({ error: { message: 'cancelled by the client' } });
  });

  it.each([
    ['the session', (session: string) => gateway.send(undefined, { verb: 'DELETE', session })],
    ['the task', () => gateway.edge.endTask('tsk_a')],
  ])('ends with %s', async (_name, end) => {
    let answer: ClientAnswer | undefined;
    await start({
      handle: async ({ client }) => {
        answer = await client.ask(question());
        return result();
      },
    });
    const session = await gateway.session(CLIENT);
    const events = await gateway.stream(CALL, { session });
    await events.message();
    await end(session);
    await events.rest();
    expect(answer).toHaveProperty('error');
  });

  it('a session has so many open and no more', async () => {
    const answers: ClientAnswer[] = [];
    await start({
      limits: { questions: { most: 2, timeoutMs: 1_000 } },
      handle: async ({ client }) => {
        answers.push(...(await Promise.all([1, 2, 3].map(() => client.ask(question())))));
        return result();
      },
    });
    const session = await gateway.session(CLIENT);
    const events = await gateway.stream(CALL, { session });
    await events.message();
    await events.message();
    await gateway.time.advance(1_000);
    await events.rest();
    expect(answers[2]).toMatchObject({ error: { message: 'too many questions are open' } });
  });

  it('a client that lost its connection finds the question when it comes back', async () => {
    await start({ handle: asking() });
    const session = await gateway.session(CLIENT);
    const events = await gateway.stream(CALL, { session });
    await events.message();
    await events.drop();
    const back = await gateway.stream(undefined, { session, headers: { 'Last-Event-ID': '1-0' } });
    const asked = await back.message();
    await gateway.send(answerTo(asked?.id, { result: { action: 'accept' } }), { session });
    expect(await back.message()).toMatchObject({ id: 1, result: { answer: { result: { action: 'accept' } } } });
  });
});

describe('a question outside requests', () => {
  const sink = (): Sink => [...gateway.sinks][0] as Sink;

  it('goes out on the GET stream', async () => {
    await start();
    const session = await gateway.session(CLIENT);
    const events = await gateway.stream(undefined, { session });
    const answer = sink().ask?.(question('sampling/createMessage', { messages: [] }));
    const asked = await events.message();
    expect(asked).toMatchObject({ method: 'sampling/createMessage', params: { messages: [] } });
    await gateway.send(answerTo(asked?.id, { result: { role: 'assistant' } }), { session });
    expect(await answer).toEqual({ result: { role: 'assistant' } });
  });

  it('is refused where it was not declared', async () => {
    await start();
    await gateway.stream(undefined, { session: await gateway.session() });
    expect(await sink().ask?.(question())).toHaveProperty('error');
  });

  it('nobody can be asked whose stream is closed', async () => {
    await start();
    const session = await gateway.session(CLIENT);
    const events = await gateway.stream(undefined, { session });
    const { ask } = sink();
    await events.drop();
    while (sink().ask !== undefined) await gateway.time.settle();
    expect(await ask?.(question())).toMatchObject({ error: { message: 'the client cannot be reached' } });
  });
});
