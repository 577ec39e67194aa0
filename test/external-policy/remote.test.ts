import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { createAuthZenPolicy } from '../../src/adapters/external-policy/authzen.ts';
import { createOpaPolicy } from '../../src/adapters/external-policy/opa.ts';
import { createGuardedFetch, type GuardedFetch } from '../../src/adapters/upstreams/guarded-fetch.ts';
import { Secret } from '../../src/domain/secret.ts';
import type { ExternalQuestion } from '../../src/seams/external-policy.ts';
import { type FakeDecisionPoint, startFakeDecisionPoint } from '../support/fake-decision-point.ts';

const question = (id: string): ExternalQuestion => ({
  subject: { type: 'agent', id, properties: {} },
  action: { name: 'call', properties: { actionClass: 'financial' } },
  resource: { type: 'tool', id: 'shop/pay', properties: {} },
  context: { environment: 'prod' },
});
const signal = new AbortController().signal;
const permitted = { isPermitted: true, reason: undefined, stepUp: undefined };

let point: FakeDecisionPoint;
let guarded: GuardedFetch;
beforeAll(async () => {
  point = await startFakeDecisionPoint();
  guarded = createGuardedFetch({ hostname: '127.0.0.1', allowPrivateNetwork: false });
});
afterAll(async () => {
  await guarded.close();
  await point.close();
});
beforeEach(() => {
  point.answer = () => ({ decision: true });
  (point.asked as unknown[]).length = 0;
});

const endpoint = (more = {}) => ({ url: `${point.url}/`, token: undefined, fetch: guarded.fetch, ...more });

describe('AuthZEN 1.0', () => {
  test('asks one question as an evaluation, with the token', async () => {
    const policy = createAuthZenPolicy(endpoint({ token: async () => new Secret('s3cret') }));
    expect(await policy.ask([question('bot')], signal)).toEqual([permitted]);
    const expected = { path: '/access/v1/evaluation', authorization: 'Bearer s3cret', body: question('bot') };
    expect(point.asked).toEqual([expected]);
  });

  test('asks several as evaluations, in one request, and wants all of them answered', async () => {
    point.answer = ({ subject }) => ({
      decision: (subject as { id: string }).id === 'bot',
      context: { reason_user: 'Not you.' },
    });
    const said = await createAuthZenPolicy(endpoint()).ask([question('bot'), question('helper')], signal);
    expect(said.map(({ isPermitted }) => isPermitted)).toEqual([true, false]);
    expect(said[1]?.reason).toBe('Not you.');
    expect(point.asked).toHaveLength(1);
    expect(point.asked[0]).toMatchObject({
      path: '/access/v1/evaluations',
      body: { evaluations: [question('bot'), question('helper')], options: { evaluations_semantic: 'execute_all' } },
    });
  });

  test('a hold is read, a reason is one line of bounded length', async () => {
    point.answer = () => ({
      decision: true,
      context: { step_up: 'count=2', reason_user: { en: `Ask.\n\u202e${'x'.repeat(999)}` } },
    });
    const [said] = await createAuthZenPolicy(endpoint()).ask([question('bot')], signal);
    expect(said).toMatchObject({ isPermitted: true, stepUp: 'count=2' });
    expect(said?.reason).toMatch(/^Ask\. x{100}/);
    expect(said?.reason?.length).toBeLessThan(310);
  });

  test.each<[string, unknown]>([
    ['no decision', {}],
    ['a decision that is a text', { decision: 'true' }],
    ['a decision that is a number', { decision: 1 }],
    ['a context that is a text', { decision: true, context: 'x' }],
    ['a step_up that is no text', { decision: true, context: { step_up: { count: 1 } } }],
    ['no object', [true]],
    ['no JSON', 'permit'],
    ['nothing', ''],
    ['a status that is a failure', 500],
    ['a status that is a refusal', 401],
    ['another version of the API, which it does not know', 404],
    ['a status that is a success, but another', 202],
    ['a redirect', 302],
  ])('D1 %s is no answer', async (_, answer) => {
    point.answer = () => answer;
    const policy = createAuthZenPolicy(endpoint());
    await expect(policy.ask([question('bot')], signal)).rejects.toThrow();
    await expect(policy.ask([question('bot'), question('helper')], signal)).rejects.toThrow();
  });

  test('D1 a body beyond every bound is no answer', async () => {
    point.answer = () => ({ decision: true, context: { text: 'x'.repeat(300_000) } });
    await expect(createAuthZenPolicy(endpoint()).ask([question('bot')], signal)).rejects.toThrow(/larger/);
  });

  test('A30 a name of a public host that leads to this machine is not connected to', async () => {
    const rebound = createGuardedFetch({
      hostname: 'pdp.example',
      allowPrivateNetwork: true,
      lookup: (_, __, callback) => callback(null, [{ address: '127.0.0.1', family: 4 }]),
    });
    const policy = createAuthZenPolicy(
      endpoint({ url: point.url.replace('127.0.0.1', 'pdp.example'), fetch: rebound.fetch }),
    );
    await expect(policy.ask([question('bot')], signal)).rejects.toThrow();
    expect(point.asked).toEqual([]);
    await rebound.close();
  });

  test('a secret that cannot be had is no answer, and nothing is sent', async () => {
    const policy = createAuthZenPolicy(endpoint({ token: () => Promise.reject(new Error('no such secret')) }));
    await expect(policy.ask([question('bot')], signal)).rejects.toThrow();
    expect(point.asked).toEqual([]);
  });

  test('L6 what it answers with a failure, and the token, are in no message', async () => {
    point.answer = () => 500;
    const policy = createAuthZenPolicy(endpoint({ token: async () => new Secret('s3cret') }));
    const error = await policy.ask([question('bot')], signal).catch((thrown: unknown) => String(thrown));
    expect(error).toBe('Error: it answered HTTP 500');
  });
});

describe('OPA', () => {
  const opa = () => createOpaPolicy(endpoint(), 'remit/allow');

  test('gets each question as input of the rule', async () => {
    point.answer = ({ subject }) => ({ result: (subject as { id: string }).id === 'bot' });
    const said = await opa().ask([question('bot'), question('helper')], signal);
    expect(said.map(({ isPermitted }) => isPermitted)).toEqual([true, false]);
    expect(point.asked.map(({ path }) => path)).toEqual(['/v1/data/remit/allow', '/v1/data/remit/allow']);
    expect(point.asked.map(({ body }) => body)).toContainEqual({ input: question('helper') });
  });

  test('a rule may give an object with allow', async () => {
    point.answer = () => ({ result: { allow: true, reason: 'Fine.', step_up: 'count=2' } });
    expect(await opa().ask([question('bot')], signal)).toEqual([
      { isPermitted: true, reason: 'Fine.', stepUp: 'count=2' },
    ]);
  });

  test.each<[string, unknown]>([
    ['a rule without a value', {}],
    ['a rule whose value is a text', { result: 'yes' }],
    ['a rule whose value is a list', { result: [true] }],
    ['an object without allow', { result: { deny: [] } }],
    ['an allow that is a text', { result: { allow: 'true' } }],
    ['a failure', 500],
    ['no JSON', '<html>'],
  ])('D1 %s is no answer', async (_, answer) => {
    point.answer = () => answer;
    await expect(opa().ask([question('bot'), question('helper')], signal)).rejects.toThrow();
  });
});
