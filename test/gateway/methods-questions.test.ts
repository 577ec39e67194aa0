import { describe, expect, it } from 'vitest';
import type { JsonObject } from '../../src/domain/json.ts';
import type { ClientSide } from '../../src/gateway/client-request.ts';
import type { ClientFeature } from '../../src/gateway/gateway.ts';
import { handleMethod } from '../../src/gateway/methods/handle-method.ts';
import { questionOutside } from '../../src/gateway/stages/questions.ts';
import type { ClientAnswer, UpstreamReply } from '../../src/seams/upstream.ts';
import {
  CONNECTOR,
  decision,
  type FakeGateway,
  type FakeOptions,
  makeClientRequest,
  makeGateway,
  makeTask,
} from '../support/fake-gateway-parts.ts';

const FORM = { message: 'Which one?', requestedSchema: { type: 'object', properties: {} } };
const ACCEPT: ClientAnswer = { result: { action: 'accept', content: { a: 1 }, _meta: { role: 'admin' } } };
const EVERYTHING = { elicitation: { form: {}, url: {} }, sampling: {}, roots: {} };
const done: UpstreamReply = { result: { content: [] }, resultText: '{"content":[]}' };

/** A call of a server that asks one question after the other before it replies. */
async function callThatAsks(
  questions: readonly [method: string, params: JsonObject][],
  options: FakeOptions & { readonly ask?: ClientSide['ask'] } = {},
) {
  const answers: ClientAnswer[] = [];
  const fake: FakeGateway = makeGateway({
    ...options,
    reply: async (_, __, { client }) => {
      for (const [method, params] of questions) answers.push((await client?.ask(method, params)) as ClientAnswer);
      return done;
    },
  });
  const request = makeClientRequest(
    'tools/call',
    { name: 'shop__orders' },
    { capabilities: EVERYTHING, ask: options.ask ?? (async () => ACCEPT) },
  );
  const { recordOutcome } = await handleMethod(fake.gateway, fake.caller(), request);
  recordOutcome?.();
  return { fake, answers, asked: request.asked, records: fake.records.filter(({ detail }) => detail.effect === 'ask') };
}

describe('questions of servers', () => {
  it('one that the owner allows is recorded with its content sealed, put cleaned, confirmed, and has an outcome', async () => {
    const { answers, asked, records } = await callThatAsks([
      ['elicitation/create', { ...FORM, message: 'Which\u200b one?\u001b[8m hidden', _meta: { x: 1 } }],
    ]);
    expect(asked.map(({ params }) => params)).toEqual([{ ...FORM, message: 'Which one? hidden' }]);
    // A14: what a client claims of itself is not passed to the server.
    expect(answers).toEqual([{ result: { action: 'accept', content: { a: 1 } } }]);
    expect(records).toMatchObject([
      { type: 'decision', tool: 'shop/orders', detail: { verdict: 'permit', policies: ['remit:client-features'] } },
      { type: 'decision', detail: { verdict: 'permit', resumes: records[0]?.span } },
      { type: 'outcome', detail: { status: 'ok', action: 'accept' } },
    ]);
    expect(new Set(records.map(({ span }) => span)).size).toBe(1);
    expect(records[0]?.input).toContain('Which one?');
    expect(JSON.stringify(records.map(({ detail }) => detail))).not.toContain('Which one?');
  });

  it.each([
    ['sampling/createMessage', { messages: [], maxTokens: 1 }],
    ['roots/list', {}],
  ] as const)('A43 %s is denied unless the owner allows it, and recorded', async (method, params) => {
    const { answers, asked, records } = await callThatAsks([[method, params]]);
    expect(answers).toMatchObject([{ error: { code: -32601 } }]);
    expect(asked).toEqual([]);
    expect(records).toMatchObject([{ type: 'decision', detail: { verdict: 'deny', method } }]);
    const allowed = await callThatAsks([[method, params]], { clientFeatures: ['sampling', 'roots'] });
    expect(allowed.asked).toHaveLength(1);
  });

  it('A43 elicitation is denied where the owner allows nothing', async () => {
    const { asked, answers } = await callThatAsks([['elicitation/create', FORM]], { clientFeatures: [] });
    expect(asked).toEqual([]);
    expect(answers[0]).toHaveProperty('error');
  });

  it('A43 what is declared upstream is what the client can do and the owner allows', async () => {
    const declared: JsonObject[] = [];
    const open: FakeOptions['open'] = async ({ clientCapabilities }) => void declared.push(clientCapabilities);
    await callThatAsks([], { open });
    await callThatAsks([], { open, clientFeatures: ['roots', 'sampling'] as ClientFeature[] });
    expect(declared).toEqual([{ elicitation: { url: {}, form: {} } }, { sampling: {}, roots: {} }]);
  });

  it.each([
    'http://idp.example/login',
    'javascript:alert(1)',
    'https://user:pw@idp.example/',
    'https://idp.example/\u202egpj',
    'not a url',
  ])('A04 nobody is sent to %j', async (url) => {
    const { asked, answers, records } = await callThatAsks([
      ['elicitation/create', { mode: 'url', url, elicitationId: 'e', message: 'Sign in' }],
    ]);
    expect(asked).toEqual([]);
    expect(answers).toMatchObject([{ error: { code: -32602 } }]);
    expect(records[0]?.detail).toMatchObject({ verdict: 'deny', policies: ['remit:question'] });
  });

  it('A04 the host of a URL is shown as browsers resolve it', async () => {
    const { asked } = await callThatAsks([
      [
        'elicitation/create',
        { mode: 'url', url: 'https://xn--pple-43d.example/x', elicitationId: 'e', message: 'Sign in' },
      ],
    ]);
    expect(asked[0]?.params.message).toContain('xn--pple-43d.example');
  });

  it('I3 a call may ask 16 questions, and no more', async () => {
    const { asked, answers } = await callThatAsks(Array.from({ length: 20 }, () => ['elicitation/create', FORM]));
    expect(asked).toHaveLength(16);
    expect(answers.slice(16).every((answer) => 'error' in answer)).toBe(true);
  });

  it('D5 an answer is not passed on when the call would no longer be permitted', async () => {
    let isAllowed = true;
    const { answers, records } = await callThatAsks([['elicitation/create', FORM]], {
      decideCall: () => decision(isAllowed ? 'permit' : 'deny', { policies: ['changed'] }),
      ask: async () => {
        isAllowed = false;
        return ACCEPT;
      },
    });
    expect(answers).toMatchObject([{ error: { message: 'no longer permitted' } }]);
    expect(records[1]?.detail).toMatchObject({ verdict: 'deny', policies: ['changed'], resumes: records[0]?.span });
  });

  it('L6 the credential is withheld from questions', async () => {
    const { asked } = await callThatAsks([['elicitation/create', { ...FORM, message: 'secret of tsk_asking' }]], {
      tasks: [makeTask('tsk_asking')],
    });
    expect(asked[0]?.params.message).toContain('withheld by Remit');
  });

  it('A1 a question that cannot be recorded is not put', async () => {
    const { asked } = await callThatAsks([['elicitation/create', FORM]], {
      record: async ({ detail }) => {
        if (detail.effect === 'ask') throw new Error('no space');
      },
    }).catch(() => ({ asked: [] }));
    expect(asked).toEqual([]);
  });

  it('a client that cannot be asked is not asked', async () => {
    const answers: ClientAnswer[] = [];
    const fake = makeGateway({
      reply: async (_, __, { client }) => {
        answers.push((await client?.ask('elicitation/create', FORM)) as ClientAnswer);
        return done;
      },
    });
    await handleMethod(fake.gateway, fake.caller(), makeClientRequest('tools/call', { name: 'shop__orders' }));
    expect(answers).toMatchObject([{ error: { code: -32601 } }]);
  });

  it('a modern server’s questions in a result are decided on, cleaned and recorded; one that may not be put ends the call', async () => {
    const call = async (inputRequests: JsonObject) => {
      const round = { resultType: 'input_required', inputRequests, requestState: 'own' };
      const fake = makeGateway({ reply: async () => ({ result: round, resultText: JSON.stringify(round) }) });
      const request = makeClientRequest(
        'tools/call',
        { name: 'shop__orders' },
        { era: 'modern', capabilities: EVERYTHING },
      );
      const { reply, recordOutcome } = await handleMethod(fake.gateway, fake.caller(), request);
      recordOutcome?.();
      return { fake, reply };
    };
    const asked = { method: 'elicitation/create', params: { ...FORM, message: 'Which\u200b one?' } };
    const { fake, reply } = await call({ a: asked });
    expect(JSON.parse('resultText' in reply ? reply.resultText : '{}').inputRequests).toEqual({
      a: { method: 'elicitation/create', params: FORM },
    });
    expect(fake.records.filter(({ detail }) => detail.effect === 'ask')).toMatchObject([
      { type: 'decision', detail: { verdict: 'permit' } },
      { type: 'outcome', detail: { status: 'ok' } },
    ]);
    expect(fake.records.at(-1)).toMatchObject({ type: 'outcome', detail: { status: 'input_required' } });
    const evil = { method: 'elicitation/create', params: { mode: 'url', url: 'http://x.example', message: 'x' } };
    expect((await call({ a: asked, b: evil })).reply).toHaveProperty('error');
    // A43
    const sampling = { method: 'sampling/createMessage', params: { messages: [] } };
    expect((await call({ a: sampling })).reply).toHaveProperty('error');
  });

  it('outside a call: the owner’s choice and a live task decide, and it is recorded', async () => {
    const fake = makeGateway();
    const { task } = fake.caller();
    const put = questionOutside(fake.gateway);
    const question = await put(task.id, CONNECTOR, 'elicitation/create', FORM, []);
    if ('error' in question) throw new Error('refused');
    expect(await question.confirm()).toBe(true);
    expect(await put(task.id, CONNECTOR, 'sampling/createMessage', {}, [])).toHaveProperty('error');
    fake.end(task.id);
    expect(await put(task.id, CONNECTOR, 'elicitation/create', FORM, [])).toHaveProperty('error');
    expect(fake.records.map(({ detail }) => detail.verdict)).toEqual(['permit', 'permit', 'deny']);
  });

  it('L6, A25: outside a call too, a question has neither the credential nor hidden characters in it', async () => {
    const fake = makeGateway();
    const { task } = fake.caller();
    const needles = [{ value: 'hunter2-hunter2', inJson: 'hunter2-hunter2' }];
    const message = 'The key is hunter2-hunter2\u202e, right?';
    const put = questionOutside(fake.gateway);
    const question = await put(task.id, CONNECTOR, 'elicitation/create', { ...FORM, message }, needles);
    if ('error' in question) throw new Error('refused');
    expect(question.params.message).toBe('The key is [withheld by Remit: a credential], right?');
    const url = 'https://shop.example/?key=hunter2-hunter2';
    const refused = await put(task.id, CONNECTOR, 'elicitation/create', { mode: 'url', url, message: 'x' }, needles);
    expect(refused).toHaveProperty('error');
    expect(JSON.stringify(fake.records)).not.toContain('hunter2');
  });
});
