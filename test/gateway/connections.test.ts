import { describe, expect, it } from 'vitest';
import { type ConnectorId, connectorId, type TaskId } from '../../src/domain/ids.ts';
import { type ConnectionsOptions, createConnections } from '../../src/gateway/connections.ts';
import { governCall } from '../../src/gateway/pipeline.ts';
import type { OpenUpstream, Upstream } from '../../src/seams/upstream.ts';
import { heldLease, makeGateway, makePrincipal, makeTask } from '../support/fake-gateway-parts.ts';

const SHOP = connectorId('shop');
const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

/** Connections whose openings a test holds up; an opening that is called off fails, as the real openers do. */
function slowConnections(options: Partial<ConnectionsOptions> = {}) {
  const openings: { request: OpenUpstream; open: () => void }[] = [];
  const events: string[] = [];
  let replyNow = (): void => {};
  const opener = {
    open: (request: OpenUpstream): Promise<Upstream> =>
      new Promise((resolve, reject) => {
        request.signal?.addEventListener('abort', () => reject(new Error('called off')));
        let close = (): void => {};
        const closed = new Promise<void>((done) => {
          close = done;
        });
        openings.push({
          request,
          open: () =>
            resolve({
              pid: undefined,
              closed,
              close: async () => {
                events.push('close');
                close();
              },
              request: () => {
                events.push('request');
                return new Promise((done) => {
                  replyNow = () => done({ result: {}, resultText: '{}' });
                });
              },
            }),
        });
      }),
  };
  const connections = createConnections({ opener: () => opener, timeoutMs: () => 60_000, max: 10, ...options });
  return { connections, openings, events, reply: () => replyNow() };
}

describe('connections that are still being opened', () => {
  it('V2 the end of a task calls off an opening that hangs, and does not wait for its deadline', async () => {
    const { connections, openings } = slowConnections();
    const opening = connections.get('tsk_a' as TaskId, SHOP, undefined) as Promise<Upstream>;
    const failed = opening.catch((error: Error) => error.message);
    const other = connections.get('tsk_b' as TaskId, SHOP, undefined) as Promise<Upstream>;
    await connections.closeTask('tsk_a' as TaskId);
    expect(await failed).toBe('called off');
    expect(connections.size).toBe(1);
    openings[1]?.open();
    await other;
    expect(connections.size).toBe(1);
  });

  it('a lease that is renewed meanwhile: the call that waits for the opening is served, then it closes', async () => {
    const { connections, openings, events, reply } = slowConnections();
    const held = heldLease(makeTask('tsk_opening'), SHOP);
    const call = Promise.resolve(connections.get('tsk_opening' as TaskId, SHOP, held)).then((upstream) =>
      upstream.request('tools/call', '{}', { timeoutMs: 1_000 }),
    );
    connections.retireLease(held.lease.id);
    openings[0]?.open();
    await turn();
    expect(events).toEqual(['request']);
    reply();
    expect(await call).toMatchObject({ resultText: '{}' });
    await turn();
    expect(events).toEqual(['request', 'close']);
    expect(connections.size).toBe(0);
  });

  it('V2 a lease that is revoked while its connection opens carries no call', async () => {
    const task = makeTask('tsk_revoked');
    const fake = makeGateway({ tasks: [task] });
    const { connections, openings, events } = slowConnections();
    const held = heldLease(task, SHOP);
    const governed = governCall(
      { ...fake.gateway, connections, acquireLease: () => held },
      { principal: makePrincipal(task), task },
      { exposedName: 'shop__orders', arguments: {}, span: 'a'.repeat(16), clientCallId: undefined },
      new AbortController().signal,
    );
    while (openings.length === 0) await turn();
    openings[0]?.open();
    held.end();
    const { reply, recordOutcome } = await governed;
    recordOutcome();
    expect(events).toEqual([]);
    expect(reply).toMatchObject({ refusal: { kind: 'unavailable', code: 'ERR_CREDENTIAL_REVOKE' } });
    expect(fake.records.at(-1)?.detail).toMatchObject({ status: 'not_forwarded' });
  });
});

it('I3 one agent cannot take every connection: beyond its share it is refused, another agent is served', async () => {
  const { connections, openings } = slowConnections({
    max: 4,
    share: { of: (task) => (task.startsWith('tsk_greedy') ? 'greedy' : 'modest'), max: 2 },
  });
  const get = (task: string, connector: ConnectorId = SHOP) =>
    connections.get(task as TaskId, connector, undefined) as Promise<Upstream>;
  void get('tsk_greedy_1');
  const second = get('tsk_greedy_2');
  expect(() => get('tsk_greedy_3')).toThrow(/of its 2 upstream connections/);
  void get('tsk_modest_1');
  openings[1]?.open();
  await (await second).close();
  await turn();
  void get('tsk_greedy_4');
  expect(connections.size).toBe(3);
});
