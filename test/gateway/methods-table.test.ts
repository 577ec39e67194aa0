import { describe, expect, it } from 'vitest';
import { RemitError } from '../../src/domain/errors.ts';
import { NO_LABELS } from '../../src/domain/flow.ts';
import { connectorId, templateId } from '../../src/domain/ids.ts';
import type { JsonObject } from '../../src/domain/json.ts';
import type { Task, TaskTemplate } from '../../src/domain/task.ts';
import { sealMcpTask } from '../../src/gateway/bridge/handles.ts';
import type { ClientRequest } from '../../src/gateway/client-request.ts';
import { handleMethod } from '../../src/gateway/methods/handle-method.ts';
import { createDecider } from '../../src/policy/decide.ts';
import {
  CONNECTOR,
  type FakeGateway,
  type FakeOptions,
  makeClientRequest,
  makeGateway,
  makeItem,
  makeTask,
  makeTool,
  NOW,
} from '../support/fake-gateway-parts.ts';

const ORDERS = makeTool('orders');
const MANUALS = makeItem('resource', 'docs://manuals/*');
const SUMMARISE = makeItem('prompt', 'summarise', { args: ['topic'] });
const ITEMS = [ORDERS, MANUALS, SUMMARISE];
const TEMPLATE_RAW = { uriTemplate: 'docs://manuals/{id}', name: 'manuals' };
const TEMPLATES = [{ connector: CONNECTOR, raw: TEMPLATE_RAW, item: MANUALS }];

/** Every method that is about an item, with what asks for it. */
const CASES: readonly [method: string, item: string, params: (fake: FakeGateway) => JsonObject, era?: 'modern'][] = [
  ['tools/call', 'shop/orders', () => ({ name: 'shop__orders', arguments: { id: 1 } })],
  ['prompts/get', 'shop/prompt:summarise', () => ({ name: 'shop__summarise', arguments: { topic: 'tea' } })],
  ['resources/read', 'shop/resource:docs://manuals/*', () => ({ uri: 'docs://manuals/a' })],
  ['resources/subscribe', 'shop/resource:docs://manuals/*', () => ({ uri: 'docs://manuals/a' })],
  ['resources/unsubscribe', 'shop/resource:docs://manuals/*', () => ({ uri: 'docs://manuals/a' })],
  [
    'completion/complete',
    'shop/prompt:summarise',
    () => ({ ref: { type: 'ref/prompt', name: 'shop__summarise' }, argument: { name: 'topic', value: 't' } }),
  ],
  [
    'completion/complete',
    'shop/resource:docs://manuals/*',
    () => ({ ref: { type: 'ref/resource', uri: TEMPLATE_RAW.uriTemplate }, argument: { name: 'id', value: 'a' } }),
  ],
  ['tasks/get', 'shop/orders', (fake) => ({ taskId: sealed(fake) })],
  ['tasks/cancel', 'shop/orders', (fake) => ({ taskId: sealed(fake) })],
  ['tasks/result', 'shop/orders', (fake) => ({ taskId: sealed(fake) })],
  ['tasks/update', 'shop/orders', (fake) => ({ taskId: sealed(fake), inputResponses: {} }), 'modern'],
];
const FREE = new Set(['resources/unsubscribe', 'tasks/get', 'tasks/cancel']);
/** Answered by the gateway: the connections are told by the session that no longer wants it. */
const LOCAL = new Set(['resources/unsubscribe']);

function sealed({ gateway, caller }: FakeGateway): string {
  return sealMcpTask(gateway.sealer, caller(), { connector: CONNECTOR, item: ORDERS.ref, taskId: 'up-1' });
}

function ask(fake: FakeGateway, method: string, params: JsonObject, more: Partial<ClientRequest> = {}) {
  return handleMethod(fake.gateway, fake.caller(), makeClientRequest(method, params, { ...DECLARED, ...more }));
}

/** What a modern client must have declared to use McpTasks. */
const DECLARED = { capabilities: { extensions: { 'io.modelcontextprotocol/tasks': {} } } };

const withParts = (more: FakeOptions = {}): FakeGateway => makeGateway({ tools: ITEMS, templates: TEMPLATES, ...more });

/** Everything outside policy is decided by the real gates. */
function withGates(verdict: 'permit' | 'deny', tools: FakeOptions['tools'], bounds: Partial<Task['bounds']> = {}) {
  const task = makeTask('tsk_a');
  const template: TaskTemplate = {
    id: templateId('orders'),
    owner: 'owner',
    purpose: 'test',
    agents: [task.agent],
    bounds: task.bounds,
    maxDurationSeconds: 3_600,
    requiresUser: false,
  };
  const engine = {
    version: 'v1',
    evaluate: () => ({ verdict, policies: verdict === 'deny' ? ['no'] : ['yes'], reason: 'because', nextStep: 'x' }),
  };
  return withParts({
    tasks: [{ ...task, bounds: { ...task.bounds, ...bounds } }],
    ...(tools && {
      tools,
      templates: tools
        .filter(({ kind }) => kind === 'resource')
        .map((item) => ({ connector: CONNECTOR, raw: TEMPLATE_RAW, item })),
    }),
    template: () => template,
    decider: createDecider({ engine: () => engine, environment: 'test', labelsOf: () => NO_LABELS, clock: () => NOW }),
  });
}

const touched = ({ events }: FakeGateway): string[] => events.filter((event) => !/^(record|deviated):/.test(event));

describe('fault 37: one table of methods, and every one of them governed', () => {
  it.each(CASES)(
    'A2 %s of %s is decided on as that item, recorded and has an outcome',
    async (method, item, params, era) => {
      const fake = withGates('permit', undefined);
      const { reply, recordOutcome } = await ask(fake, method, params(fake), era && { era });
      recordOutcome?.();
      expect(reply).toHaveProperty('resultText');
      expect(fake.records[0]).toMatchObject({ type: 'decision', tool: item, detail: { verdict: 'permit', method } });
      expect(fake.records.at(-1)).toMatchObject({ type: 'outcome', tool: item, span: fake.records[0]?.span });
      if (!LOCAL.has(method)) expect(touched(fake)).toContain(method === 'resources/subscribe' ? 'watch' : 'request');
      expect(fake.underWay()).toBe(0);
    },
  );

  it.each(CASES)('D1 %s of %s: a policy that forbids it forbids it', async (method, item, params, era) => {
    const fake = withGates('deny', undefined);
    const { reply } = await ask(fake, method, params(fake), era && { era });
    expect(reply).toMatchObject({ refusal: { kind: 'denied', decision: { gate: 'agent_policy', policies: ['no'] } } });
    expect(fake.records[0]).toMatchObject({ type: 'decision', tool: item, detail: { verdict: 'deny' } });
    expect(touched(fake)).toEqual([]);
  });

  it.each(CASES)('D1 %s of %s: a task without it may not', async (method, _item, params, era) => {
    const fake = withGates('permit', undefined, { tools: ['shop/other'] });
    const { reply } = await ask(fake, method, params(fake), era && { era });
    expect(reply).toMatchObject({ refusal: { kind: 'denied', decision: { policies: ['remit:task-tool'] } } });
    expect(touched(fake)).toEqual([]);
  });

  it.each(CASES)(
    'D1 %s of %s: what no owner has described, or has changed, is not reached',
    async (method, _item, params, era) => {
      for (const status of ['undescribed', 'quarantined'] as const) {
        const fake = withGates(
          'permit',
          ITEMS.map((item) => ({ ...item, status, profile: status === 'undescribed' ? undefined : item.profile })),
        );
        const { reply } = await ask(fake, method, params(fake), era && { era });
        expect(reply).not.toHaveProperty('resultText');
        expect(fake.records[0]).toMatchObject({ type: 'decision', detail: { verdict: 'deny' } });
        expect(touched(fake)).toEqual([]);
      }
    },
  );

  it.each(CASES)(
    'D1 %s of %s: an item that nobody knows is refused and recorded',
    async (method, _item, params, era) => {
      const fake = withGates('permit', [makeTool('unrelated')]);
      const { reply } = await ask(fake, method, params(fake), era && { era });
      expect(reply).toMatchObject({ error: { code: method.startsWith('resources/') ? -32002 : -32602 } });
      expect(fake.records.map(({ type, detail }) => [type, detail.verdict])).toEqual([['decision', 'deny']]);
      expect(touched(fake)).toEqual([]);
    },
  );

  it.each(CASES)(
    'A1 %s of %s: nothing leaves before its decision is durable, and never when it cannot be',
    async (method, _item, params, era) => {
      let makeDurable = (): void => {};
      const durable = new Promise<void>((resolve) => {
        makeDurable = resolve;
      });
      const fake = withParts({ record: () => durable });
      const answer = ask(fake, method, params(fake), era && { era });
      for (let turn = 0; turn < 5; turn++) await new Promise((resolve) => setImmediate(resolve));
      expect(touched(fake)).toEqual([]);
      makeDurable();
      expect((await answer).reply).toHaveProperty('resultText');

      const full = withParts({ record: () => Promise.reject(new RemitError('ERR_JOURNAL_FULL', 'no space')) });
      await expect(ask(full, method, params(full), era && { era })).rejects.toMatchObject({ code: 'ERR_JOURNAL_FULL' });
      expect(full.events).toEqual([]);
      expect(full.underWay()).toBe(0);
    },
  );

  it.each(CASES)('%s of %s takes a call of the budget, if it begins anything', async (method, _item, params, era) => {
    const fake = withParts({ tasks: [makeTask('tsk_a', 'helper', 1)] });
    await ask(fake, method, params(fake), era && { era });
    expect(fake.gateway.tasks.callsLeft(fake.caller().task.id)).toBe(FREE.has(method) ? 1 : 0);
    expect(fake.records[0]?.detail.effect).toBe(FREE.has(method) ? 'follow' : 'call');
  });

  it('fault 20: an agent with too much under way is told that it is busy, and it is recorded', async () => {
    const fake = withParts({ maxUnderWay: 0 });
    for (const [method, , params, era] of [...CASES, ['resources/list', '', () => ({})] as const]) {
      const { reply } = await ask(fake, method, params(fake), era && { era });
      expect(reply).toMatchObject({ refusal: { kind: 'unavailable', code: 'ERR_BUSY', isForwarded: false } });
    }
    expect(new Set(fake.records.map(({ detail }) => String(detail.policies)))).toEqual(new Set(['remit:busy']));
    expect(touched(fake)).toEqual([]);
  });

  it('D1 a method that is not in the table, or not of the era, is denied, recorded and not found', async () => {
    const fake = withParts();
    const tried: [string, 'legacy' | 'modern'][] = [
      ['tools/destroy', 'legacy'],
      ['roots/list', 'legacy'],
      ['__proto__', 'legacy'],
      ['tasks/update', 'legacy'],
      ['tasks/list', 'modern'],
      ['tasks/result', 'modern'],
      ['logging/setLevel', 'modern'],
    ];
    for (const [method, era] of tried) {
      expect((await ask(fake, method, {}, { era })).reply).toMatchObject({ error: { code: -32601 } });
    }
    expect(fake.records.map(({ detail }) => [detail.policies, detail.method])).toEqual(
      tried.map(([method]) => [['remit:method'], method]),
    );
  });

  it.each(CASES)('A21 %s of %s on another connector’s own path reaches nothing', async (method, _item, params, era) => {
    const fake = withParts();
    const { reply } = await ask(fake, method, params(fake), { scope: connectorId('other'), ...(era && { era }) });
    expect(reply).toHaveProperty('error');
    expect(touched(fake)).toEqual([]);
  });

  it('logging/setLevel is recorded, and takes the levels that there are', async () => {
    const fake = withParts();
    expect((await ask(fake, 'logging/setLevel', { level: 'warning' })).reply).toMatchObject({ resultText: '{}' });
    expect((await ask(fake, 'logging/setLevel', { level: 'loud' })).reply).toMatchObject({ error: { code: -32602 } });
    expect(fake.records.map(({ detail }) => detail.level)).toEqual(['warning']);
  });
});
