import { describe, expect, it } from 'vitest';
import { createCanaries } from '../../src/flow/canaries.ts';
import { compact } from '../../src/flow/spellings.ts';
import { handleMethod } from '../../src/gateway/methods/handle-method.ts';
import { newFlow } from '../flow/office.ts';
import {
  decision,
  type FakeGateway,
  type FakeOptions,
  makeClientRequest,
  makeGateway,
  makeItem,
  makeTool,
  NOW,
  PRINTER,
  TENANT,
} from '../support/fake-gateway-parts.ts';

const VALUE = 'q7zk3mvx9c2h5w8r1t4y6n0bjdgpfsae';
const canary = {
  tenant: TENANT,
  id: 'can_1',
  zone: 'hr',
  print: PRINTER.print(compact(VALUE)),
  createdAt: NOW,
  createdBy: 'd',
};

const make = (more: FakeOptions = {}): FakeGateway =>
  makeGateway({ flow: newFlow([], { canaries: createCanaries(PRINTER, [canary]) }), ...more });

const call = (fake: FakeGateway, args: object) =>
  handleMethod(fake.gateway, fake.caller(), makeClientRequest('tools/call', { name: 'shop__orders', arguments: args }));

describe('a call that carries a canary', () => {
  it('A50 is denied, is on record, and holds its task back at once; nothing is forwarded', async () => {
    const fake = make();
    const { reply } = await call(fake, { note: Buffer.from(`x ${VALUE}`).toString('base64') });
    expect(reply).toMatchObject({
      refusal: { kind: 'denied', decision: { verdict: 'deny', gate: 'flow', policies: ['remit:canary'] } },
    });
    expect(fake.events).toEqual(['record:decision', 'deviated:tsk_a remit:canary shop/orders at once']);
    expect(fake.forwarded).toEqual([]);
    expect(JSON.stringify(fake.records.map(({ detail }) => detail))).not.toContain(VALUE);
    await call(fake, { note: 'nothing' });
    expect(fake.forwarded).toHaveLength(1);
  });

  it.each<[string, FakeOptions]>([
    ['what policy denies', { decideCall: () => decision('deny') }],
    [
      'what policy holds',
      { decideCall: () => decision('step_up', { stepUp: { terms: [], labels: [], provenance: [] } as never }) },
    ],
    ['what an engine permits late', { decideCall: async () => decision('permit') }],
  ])('is seen in %s, too', async (_title, more) => {
    const fake = make(more);
    expect((await call(fake, { note: VALUE })).reply).toMatchObject({
      refusal: { decision: { policies: ['remit:canary'] } },
    });
    expect(fake.forwarded).toEqual([]);
  });

  it('is seen in the address of a resource', async () => {
    const fake = make({ tools: [makeTool('orders'), makeItem('resource', 'shop://**')] });
    const request = makeClientRequest('resources/read', { uri: `shop://x/${VALUE}` });
    const { reply } = await handleMethod(fake.gateway, fake.caller(), request);
    expect(reply).toMatchObject({ refusal: { decision: { policies: ['remit:canary'] } } });
  });

  it('D1 whose deviation cannot be put on record is refused as a fault', async () => {
    const fake = make();
    const gateway = { ...fake.gateway, deviated: () => Promise.reject(new Error('full')) };
    await expect(call({ ...fake, gateway }, { note: VALUE })).rejects.toThrow('full');
    expect(fake.forwarded).toEqual([]);
  });

  it('raises a signal about its task and its agent, before the task is held back', async () => {
    const signals: unknown[] = [];
    const fake = make();
    const levels = { isQuiet: true, signal: (signal: unknown) => void signals.push(signal), told() {} };
    const calls = { isUsual: () => true, denied() {} };
    const gateway = { ...fake.gateway, risk: { levels, calls } as never };
    await call({ ...fake, gateway }, { note: VALUE });
    expect(signals).toEqual([
      expect.objectContaining({
        kind: 'canary',
        subjects: [
          { kind: 'task', id: 'tsk_a' },
          { kind: 'agent', id: 'helper' },
        ],
      }),
    ]);
  });
});
