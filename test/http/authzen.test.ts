import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterEach, describe, expect, test } from 'vitest';
import type { RecordEntry } from '../../src/audit/recorder.ts';
import { NO_LABELS } from '../../src/domain/flow.ts';
import { agentId, type TaskId } from '../../src/domain/ids.ts';
import { Secret } from '../../src/domain/secret.ts';
import type { Gateway } from '../../src/gateway/gateway.ts';
import { serveAuthZen } from '../../src/http/authzen/serve-authzen.ts';
import { createDecider } from '../../src/policy/decide.ts';
import type { PolicyEngine } from '../../src/seams/policy-engine.ts';
import { ALICE, NOW, PAY, QUERY, sampleTask, sampleTemplate, sampleTool } from '../policy/samples.ts';

/** The API over real HTTP and the real decider; of a gateway it has what is asked of one. */
const TOKEN = 'a'.repeat(40);
const servers: Server[] = [];
afterEach(async () => {
  await Promise.all(servers.splice(0).map((server) => new Promise((resolve) => server.close(resolve))));
});

interface Parts {
  readonly evaluate?: PolicyEngine['evaluate'];
  readonly record?: (entry: RecordEntry) => Promise<number>;
  readonly barred?: boolean;
}

async function serve({ evaluate, record, barred = false }: Parts = {}) {
  const permit = { verdict: 'permit' as const, policies: ['p'], reason: 'Fine.', nextStep: undefined };
  const engine = { version: 'sha256:v', evaluate: evaluate ?? (() => permit) };
  const task = sampleTask({ user: ALICE });
  const records: RecordEntry[] = [];
  const refused: object[] = [];
  const used: string[] = [];
  const isOwn = (id: TaskId) => id === task.id && !barred;
  const gateway = {
    tenant: task.tenant,
    tasks: {
      get: (id: TaskId) => (isOwn(id) ? task : undefined),
      confirm: async () => false,
      barred: () => (barred ? { kind: 'unavailable', reason: 'Everything is denied now.' } : undefined),
      callsLeft: () => 1,
      takeCall: () => used.push('budget'),
    },
    template: () => sampleTemplate(),
    catalogue: { tools: () => [sampleTool(QUERY), sampleTool(PAY)], prompts: () => [], resources: () => [] },
    decider: createDecider({ engine: () => engine, environment: 'prod', labelsOf: () => NO_LABELS, clock: () => NOW }),
    risk: undefined,
    flow: { canaries: { size: 0 } },
    recorder: {
      record:
        record ??
        (async (entry: RecordEntry) => {
          records.push(entry);
          return records.length;
        }),
    },
    recordRefusal: (detail: object) => refused.push(detail),
    newSpan: () => '0'.repeat(16),
  } as unknown as Gateway;
  const authZen = { url: 'https://remit.example', points: [{ name: 'portal', token: new Secret(TOKEN) }] };
  const server = createServer((request, response) => {
    serveAuthZen(authZen, gateway, request.url ?? '', request, response).catch(() => response.writeHead(500).end('{}'));
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  servers.push(server);
  const base = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  const post = async (path: string, body: unknown, headers: Record<string, string> = {}) => {
    const response = await fetch(`${base}${path}`, {
      method: 'POST',
      headers: { authorization: `Bearer ${TOKEN}`, ...headers },
      body: typeof body === 'string' ? body : JSON.stringify(body),
    });
    return {
      status: response.status,
      headers: response.headers,
      body: (await response.json()) as Record<string, unknown>,
    };
  };
  return { base, post, records, refused, used };
}

const question = (more: object = {}) => ({
  subject: { type: 'agent', id: 'orders-bot' },
  action: { name: 'call' },
  resource: { type: 'tool', id: QUERY },
  context: { task: 'tsk_1', arguments: { sql: 'select 1' } },
  ...more,
});
const ONE = '/access/v1/evaluation';
const MANY = '/access/v1/evaluations';

describe('one evaluation', () => {
  test('is the decision of the gateway, recorded with who asked, and takes nothing of a budget', async () => {
    const { post, records, used } = await serve();
    const { status, body, headers } = await post(ONE, question(), { 'x-request-id': 'r-1' });
    expect([status, headers.get('x-request-id'), headers.get('cache-control')]).toEqual([200, 'r-1', 'no-store']);
    expect(body).toMatchObject({ decision: true, context: { verdict: 'permit', policy_version: 'sha256:v' } });
    expect(records).toMatchObject([
      {
        type: 'evaluation',
        task: 'tsk_1',
        agent: 'orders-bot',
        user: 'https://idp.example#alice',
        workload: 'enforcement_point:portal',
        tool: QUERY,
        detail: { by: 'portal', effect: 'call', subject: 'agent orders-bot', verdict: 'permit' },
        input: '{"sql":"select 1"}',
      },
    ]);
    expect(used).toEqual([]);
  });

  test('D3 of every link: a user or an actor without the right denies', async () => {
    const { post } = await serve({
      evaluate: ({ subject }) => ({
        verdict: subject.id === 'helper' ? 'deny' : 'permit',
        policies: [],
        reason: 'x',
        nextStep: undefined,
      }),
    });
    expect((await post(ONE, question())).body.decision).toBe(true);
    const context = { ...question().context, actors: [agentId('helper')] };
    expect((await post(ONE, question({ context }))).body).toMatchObject({ decision: false });
  });

  test('D2 to call and to discover are two questions', async () => {
    const { post } = await serve({
      evaluate: ({ action }) => ({
        verdict: action === 'discover' ? 'permit' : 'deny',
        policies: [],
        reason: 'x',
        nextStep: undefined,
      }),
    });
    expect((await post(ONE, question({ action: { name: 'discover' } }))).body.decision).toBe(true);
    expect((await post(ONE, question())).body.decision).toBe(false);
  });

  test.each<[string, object, string]>([
    ['somebody else', { subject: { type: 'agent', id: 'helper' } }, 'task: remit:task-principal'],
    ['another user', { subject: { type: 'user', id: 'https://idp.example#bob' } }, 'task: remit:task-principal'],
    ['a task that nobody knows', { context: { task: 'tsk_9' } }, 'task: remit:task-ended'],
    ['an item that nobody knows', { resource: { type: 'tool', id: 'shop_db/none' } }, 'profile: remit:unknown-tool'],
    ['arguments that are wrong', { context: { task: 'tsk_1', arguments: { sql: 5 } } }, 'arguments: remit:arguments'],
  ])('of %s is false, says why, and is on record', async (_, more, why) => {
    const { post, records } = await serve();
    expect((await post(ONE, question(more))).body).toMatchObject({
      decision: false,
      context: { reason_admin: { en: why } },
    });
    expect(records).toHaveLength(1);
  });

  test('A6 a hold is no permit, and nobody is asked', async () => {
    const terms = [{ by: 'h', groups: [], count: 1, expiresSeconds: 900, limit: 1, barred: [] }];
    const { post } = await serve({
      evaluate: () => ({ verdict: 'step_up', policies: ['h'], reason: 'Money.', nextStep: undefined, terms }),
    });
    expect((await post(ONE, question())).body).toMatchObject({ decision: false, context: { verdict: 'step_up' } });
  });

  test('V1 while the gateway denies everything, so does this', async () => {
    const { post } = await serve({ barred: true });
    expect((await post(ONE, question())).body).toMatchObject({ decision: false, context: { verdict: 'deny' } });
  });

  test('D1 A1 what cannot be recorded is not told, and a fault of the engine denies', async () => {
    const full = await serve({ record: () => Promise.reject(new Error('full')) });
    expect((await full.post(ONE, question())).status).toBe(500);
    const broken = await serve({
      evaluate: () => {
        throw new Error('broken');
      },
    });
    expect((await broken.post(ONE, question())).body).toMatchObject({
      decision: false,
      context: { reason_admin: { en: 'fault: remit:fault' } },
    });
  });
});

describe('several', () => {
  const two = (semantic: string) => ({
    ...question(),
    evaluations: [
      { resource: { type: 'tool', id: QUERY } },
      { resource: { type: 'tool', id: 'shop_db/none' } },
      { context: { task: 'tsk_1', arguments: { sql: 'x' } } },
    ],
    options: { evaluations_semantic: semantic },
  });
  const decisions = async (semantic: string) => {
    const { post } = await serve();
    const { body } = await post(MANY, two(semantic));
    return (body.evaluations as { decision: boolean }[]).map(({ decision }) => decision);
  };

  test('are all answered, or as far as their semantics say', async () => {
    expect(await decisions('execute_all')).toEqual([true, false, true]);
    expect(await decisions('deny_on_first_deny')).toEqual([true, false]);
    expect(await decisions('permit_on_first_permit')).toEqual([true]);
  });

  test('one that cannot be read is false by itself; without a list it is one question', async () => {
    const { post } = await serve();
    const { body } = await post(MANY, { evaluations: [question(), {}, 'x'] });
    expect(body.evaluations).toMatchObject([
      { decision: true },
      { decision: false, context: { error: { status: 400 } } },
      { decision: false, context: { error: { status: 400 } } },
    ]);
    expect((await post(MANY, question())).body).toMatchObject({ decision: true });
  });

  test.each<[string, object]>([
    ['another semantic', { options: { evaluations_semantic: 'permit_unless_deny' } }],
    ['no evaluations', { evaluations: [] }],
    ['too many', { evaluations: Array.from({ length: 101 }, () => question()) }],
    ['no list', { evaluations: 'all' }],
  ])('I3 %s is refused', async (_, more) => {
    const { post, records } = await serve();
    expect((await post(MANY, { ...two('execute_all'), ...more })).status).toBe(400);
    expect(records).toEqual([]);
  });
});

describe('who asks', () => {
  test.each([
    undefined,
    '',
    'Bearer',
    'Bearer ',
    `Bearer ${'b'.repeat(40)}`,
    `Basic ${TOKEN}`,
    `Bearer ${TOKEN}x`,
    TOKEN,
  ])('is nobody without the token of an enforcement point: %s', async (authorization) => {
    const { base, records, refused } = await serve();
    const headers: Record<string, string> = authorization === undefined ? {} : { authorization };
    const response = await fetch(`${base}${ONE}`, { method: 'POST', headers, body: JSON.stringify(question()) });
    expect([response.status, response.headers.get('www-authenticate')]).toEqual([401, 'Bearer realm="remit"']);
    expect(records).toEqual([]);
    expect(refused).toHaveLength(1);
    expect(JSON.stringify(refused)).not.toContain(TOKEN);
  });

  test('and where, anybody may know', async () => {
    const { base } = await serve();
    const response = await fetch(`${base}/.well-known/authzen-configuration`);
    expect(await response.json()).toEqual({
      policy_decision_point: 'https://remit.example',
      access_evaluation_endpoint: 'https://remit.example/access/v1/evaluation',
      access_evaluations_endpoint: 'https://remit.example/access/v1/evaluations',
    });
    expect((await fetch(`${base}${ONE}`)).status).toBe(405);
  });
});

test.each<[string, unknown]>([
  ['no JSON', '{'],
  ['no object', []],
  ['a member twice (D4)', `{"subject":{"type":"agent","id":"a"},${JSON.stringify(question()).slice(1)}`],
  ['no subject', question({ subject: undefined })],
  ['a subject of another type', question({ subject: { type: 'group', id: 'x' } })],
  ['a subject without an id', question({ subject: { type: 'agent' } })],
  ['another action', question({ action: { name: 'can_read' } })],
  ['another kind of resource', question({ resource: { type: 'file', id: 'x' } })],
  ['no task', question({ context: {} })],
  ['arguments that are a list', question({ context: { task: 'tsk_1', arguments: [] } })],
  ['actors that are none', question({ context: { task: 'tsk_1', actors: [5] } })],
])('D1 %s is refused and decides nothing', async (_, body) => {
  const { post, records } = await serve();
  expect((await post(ONE, body)).status).toBe(400);
  expect(records).toEqual([]);
});
