import { describe, expect, it } from 'vitest';
import { connectorId, toolRef } from '../../src/domain/ids.ts';
import { isRefused } from '../../src/domain/refusal.ts';
import type { Task } from '../../src/domain/task.ts';
import { createLegacyConnectors, type WholePace } from '../../src/gateway/legacy-connectors.ts';
import { handleMethod } from '../../src/gateway/methods/handle-method.ts';
import {
  type FakeGateway,
  makeClientRequest,
  makeGateway,
  makePrincipal,
  makeTask,
  makeTool,
} from '../support/fake-gateway-parts.ts';

const SHOP = connectorId('shop');
const one = makeTask('tsk_a');
const other = makeTask('tsk_b');
const tasks = [one, other];

/** Calls a tool, and gives the rules that denied it; none when it came through. */
async function callTool(fake: FakeGateway, name: string, task: Task, args = {}): Promise<readonly string[]> {
  const request = makeClientRequest('tools/call', { name: `shop__${name}`, arguments: args });
  const { reply, recordOutcome } = await handleMethod(fake.gateway, { principal: makePrincipal(task), task }, request);
  recordOutcome?.();
  if (!isRefused(reply)) return [];
  return reply.refusal.kind === 'denied' ? reply.refusal.decision.policies : [reply.refusal.kind];
}

function makeLegacy(bounds: { all?: number; own?: number; paceOfAll?: () => WholePace } = {}) {
  let now = 1_000_000;
  const legacy = createLegacyConnectors(
    new Map([
      [
        SHOP,
        {
          tools: new Set([toolRef(SHOP, 'orders')]),
          callsPerMinute: bounds.all ?? 100,
          callsPerMinutePerTask: bounds.own ?? 100,
          exception: { owner: 'erin', expires: '2027-01-01T00:00:00Z' },
          secret: 'shop_token',
          injectedAs: ['header Authorization'],
        },
      ],
    ]),
    () => now,
    bounds.paceOfAll,
  );
  const wait = (ms: number): void => {
    now += ms;
  };
  return { legacy, wait };
}

describe('a connector under an exception', () => {
  it('F8 whoever goes on with a task goes on from its pace', async () => {
    const [before, after] = [makeLegacy({ own: 2 }), makeLegacy({ own: 2 })];
    const call = ({ legacy }: typeof before, task = one) => callTool(makeGateway({ tasks, legacy }), 'orders', task);
    expect(before.legacy.usageOf(one.id)).toBeUndefined();
    for (let n = 0; n < 2; n++) expect(await call(before)).toEqual([]);
    after.legacy.restore(one.id, JSON.parse(JSON.stringify(before.legacy.usageOf(one.id))));
    expect(await call(after)).toEqual(['remit:rate']);
    expect(await call(after, other)).toEqual([]);
    after.wait(61_000);
    expect(await call(after)).toEqual([]);
  });

  it('where nodes share its pace, waits for the store only where nothing is held, again until there is nothing to wait for', async () => {
    const asked: string[] = [];
    let left = 0;
    const shared = {
      count: () => 7,
      hasRoom: () => left > 0,
      take() {
        left -= 1;
      },
      isUnknown: false,
      replenish: () => {
        if (left > 0 || asked.length > 2) return undefined;
        asked.push('store');
        return Promise.resolve().then(() => {
          left = asked.length - 1;
        });
      },
    };
    const { legacy } = makeLegacy({ paceOfAll: () => shared });
    const fake = makeGateway({ tasks, legacy });
    expect(await callTool(fake, 'orders', one), 'nothing the first time').toEqual([]);
    expect(asked).toEqual(['store', 'store']);
    expect(await callTool(fake, 'orders', one)).toEqual([]);
    expect(await callTool(fake, 'orders', other)).toEqual([]);
    expect(asked).toHaveLength(3);
    shared.isUnknown = true;
    const denied = legacy.admit(one.id, { item: makeTool('orders') });
    expect(denied?.reason, 'D1').toContain('cannot be told');
    expect(legacy.detailText(one.id, { item: makeTool('orders') })).toContain('"connector":7');
  });

  it('has a pace for each task, and says when to go on', async () => {
    const { legacy, wait } = makeLegacy({ own: 2 });
    const fake = makeGateway({ tasks, legacy });
    const call = (task = one) => callTool(fake, 'orders', task);
    for (let n = 0; n < 2; n++) expect(await call()).toEqual([]);
    expect(await call()).toEqual(['remit:rate']);
    expect(await call(other)).toEqual([]);
    wait(61_000);
    expect(await call()).toEqual([]);
    expect(fake.forwarded).toHaveLength(4);
  });

  it('has a pace for all tasks together, and a call beyond it takes nothing of the task’s budget', async () => {
    const { legacy } = makeLegacy({ all: 1 });
    const fake = makeGateway({ tasks, legacy });
    expect(await callTool(fake, 'orders', one)).toEqual([]);
    const before = fake.gateway.tasks.callsLeft(other.id);
    expect(await callTool(fake, 'orders', other)).toEqual(['remit:rate']);
    expect(fake.gateway.tasks.callsLeft(other.id)).toBe(before);
    expect(fake.records.at(-1)).toMatchObject({ type: 'decision', detail: { verdict: 'deny', gate: 'budget' } });
  });

  it('serves the tools of its exception and no other, whatever policies permit', async () => {
    const { legacy } = makeLegacy();
    const fake = makeGateway({ tasks, legacy });
    expect(await callTool(fake, 'refunds', one)).toEqual(['remit:legacy-tool']);
    expect(fake.forwarded).toEqual([]);
  });

  it('has fuller records: whose exception, which secret, where it went, what for, how many calls', async () => {
    const { legacy } = makeLegacy();
    const fake = makeGateway({ tasks, legacy, tools: [makeTool('orders')] });
    await callTool(fake, 'orders', one, { id: 'not on the record' });
    const record = fake.records.find(({ type }) => type === 'credential_used');
    expect(record?.detail).toMatchObject({
      legacy: {
        exception: { owner: 'erin', expires: '2027-01-01T00:00:00Z' },
        secret: 'shop_token',
        injectedAs: ['header Authorization'],
        method: 'tools/call',
        arguments: ['id'],
        callsInMinute: { task: 1, connector: 1 },
      },
    });
    expect(JSON.stringify(record?.detail)).not.toContain('not on the record');
  });

  it('forgets the pace of a task that has ended', async () => {
    const { legacy } = makeLegacy({ own: 1 });
    const operation = { item: makeTool('orders') };
    expect(legacy.admit(one.id, operation)).toBeUndefined();
    expect(legacy.admit(one.id, operation)?.policies).toEqual(['remit:rate']);
    legacy.forgetTask(one.id);
    expect(legacy.admit(one.id, operation)).toBeUndefined();
  });
});
