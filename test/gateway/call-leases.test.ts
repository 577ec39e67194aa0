import { expect, it } from 'vitest';
import type { Task } from '../../src/domain/task.ts';
import { createConnections } from '../../src/gateway/connections.ts';
import type { Gateway } from '../../src/gateway/gateway.ts';
import { handleMethod } from '../../src/gateway/methods/handle-method.ts';
import { createHeldLease, type HeldLeaseControl } from '../../src/leases/held-lease.ts';
import { heldLease, makeClientRequest, makeGateway, makePrincipal, makeTask } from '../support/fake-gateway-parts.ts';

/** A lease a call, as the manager gives it, counting how often each is said to be over. */
function leasesByCall() {
  const given: { held: HeldLeaseControl; over: number; item: string | undefined }[] = [];
  const acquireLease: Gateway['acquireLease'] = (task, connector, item) => {
    const { lease, injection } = heldLease(task, connector);
    const mine = { ...lease, id: `${lease.id}_${given.length}` as typeof lease.id, mode: 'call' as const };
    const held = createHeldLease(mine, injection, () => {
      entry.over += 1;
    });
    const entry = { held, over: 0, item: item?.ref };
    given.push(entry);
    return held;
  };
  return { given, acquireLease };
}

const caller = (task: Task) => ({ principal: makePrincipal(task), task });

it('a credential of mode call is asked for the tool, and over with the call, whatever came of it', async () => {
  const task = makeTask('tsk_by_call');
  const { given, acquireLease } = leasesByCall();
  const fake = makeGateway({ tasks: [task], acquireLease });
  const call = () =>
    handleMethod(fake.gateway, caller(task), makeClientRequest('tools/call', { name: 'shop__orders' }));
  await call();
  await call();
  fake.end(task.id);
  await call();
  expect(given.map(({ item }) => item)).toEqual(['shop/orders', 'shop/orders', 'shop/orders']);
  expect(given.map(({ over }) => over)).toEqual([1, 1, 1]);
  expect(given.map(({ held }) => held.calls)).toEqual([1, 1, 1]);
});

it('a connection that carries one call watches nothing: a subscription is refused, and the hub passes it over', async () => {
  const task = makeTask('tsk_watch_by_call');
  const { acquireLease } = leasesByCall();
  const watched: unknown[] = [];
  const connections = createConnections({
    opener: () => ({
      open: async () => ({
        era: 'legacy',
        protocolVersion: '2025-11-25',
        capabilities: {},
        pid: undefined,
        closed: new Promise<void>(() => {}),
        close: async () => {},
        request: async () => ({ result: {}, resultText: '{}' }),
        notify: () => {},
        watch: async (wanted) => void watched.push(wanted),
      }),
    }),
    timeoutMs: () => 1_000,
    max: 10,
    hub: { eventsFor: () => ({}) as never, wanted: () => ({ lists: true, resources: [] }) },
  });
  const held = await acquireLease(task, 'shop' as never);
  const upstream = await connections.get(task.id, 'shop' as never, held, { prefer: 'legacy', clientCapabilities: {} });
  await connections.watch(task.id);
  await expect(upstream.watch({ lists: false, resources: ['file:///a'] })).rejects.toMatchObject({
    code: 'ERR_CONNECTOR_UNREACHABLE',
    hint: expect.stringContaining('mode'),
  });
  expect(watched).toEqual([]);
});
