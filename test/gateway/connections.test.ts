import { describe, expect, it } from 'vitest';
import { type ConnectorId, connectorId, type TaskId } from '../../src/domain/ids.ts';
import { type ConnectionsOptions, type ConnectionWish, createConnections } from '../../src/gateway/connections.ts';
import { handleMethod } from '../../src/gateway/methods/handle-method.ts';
import type { OpenUpstream, Upstream, UpstreamCall, Watch } from '../../src/seams/upstream.ts';
import { heldLease, makeClientRequest, makeGateway, makePrincipal, makeTask } from '../support/fake-gateway-parts.ts';

const SHOP = connectorId('shop');
const DOCS = connectorId('docs');
const WISH: ConnectionWish = { prefer: 'legacy', clientCapabilities: {} };
const CALL: UpstreamCall = { method: 'tools/call', params: '', meta: '', timeoutMs: 1_000 };
const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

/** Connections whose openings a test holds up; an opening that is called off fails, as the real openers do. */
function slowConnections(options: Partial<ConnectionsOptions> = {}) {
  const openings: { request: OpenUpstream; open: () => void; close: () => void }[] = [];
  const events: string[] = [];
  let replyNow = (): void => {};
  const opener = {
    open: (request: OpenUpstream): Promise<Upstream> =>
      new Promise((resolve, reject) => {
        request.cancellation?.onCancel(() => reject(new Error('called off')));
        let close = (): void => {};
        const closed = new Promise<void>((done) => {
          close = done;
        });
        openings.push({
          request,
          close: () => close(),
          open: () =>
            resolve({
              era: request.prefer,
              protocolVersion: '2025-11-25',
              capabilities: {},
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
              notify: (method) => void events.push(`notify ${method}`),
              watch: async (wanted) => void events.push(`watch ${request.connector} ${JSON.stringify(wanted)}`),
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
    const opening = connections.get('tsk_a' as TaskId, SHOP, undefined, WISH) as Promise<Upstream>;
    const failed = opening.catch((error: Error) => error.message);
    const other = connections.get('tsk_b' as TaskId, SHOP, undefined, WISH) as Promise<Upstream>;
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
    const call = Promise.resolve(connections.get('tsk_opening' as TaskId, SHOP, held, WISH)).then((upstream) =>
      upstream.request(CALL),
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
    const governed = handleMethod(
      { ...fake.gateway, connections, acquireLease: () => held },
      { principal: makePrincipal(task), task },
      makeClientRequest('tools/call', { name: 'shop__orders' }),
    );
    for (let turns = 0; openings.length === 0 && turns < 1_000; turns++) await turn();
    openings[0]?.open();
    held.end();
    const { reply, recordOutcome } = await governed;
    recordOutcome?.();
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
    connections.get(task as TaskId, connector, undefined, WISH) as Promise<Upstream>;
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

describe('which connection serves a call', () => {
  const ELICITS: ConnectionWish = { prefer: 'legacy', clientCapabilities: { elicitation: {} } };
  const allowing = { clientFeatures: () => ['elicitation' as const] };

  it('I1: one a task, connector, lease, era and what its client can be asked; the same for the same', async () => {
    const { connections, openings } = slowConnections(allowing);
    const task = makeTask('tsk_keys');
    const held = heldLease(task, SHOP);
    const get = (wish: ConnectionWish, id = task.id, connector = SHOP) => connections.get(id, connector, held, wish);
    const first = get(WISH);
    const others = [
      get(WISH, 'tsk_other' as TaskId),
      get(WISH, task.id, DOCS),
      connections.get(task.id, SHOP, undefined, WISH),
      get({ ...WISH, prefer: 'modern' }),
      get(ELICITS),
    ];
    expect(new Set([first, ...others]).size).toBe(6);
    expect(openings).toHaveLength(6);
    for (const { open } of openings) open();
    const live = await first;
    await Promise.all(others);
    expect(get(WISH)).toBe(live);
    expect(await others[4]).not.toBe(live);
    expect(get({ prefer: 'legacy', clientCapabilities: { elicitation: { form: {} } } })).toBe(await others[4]);
    expect(openings).toHaveLength(6);
  });

  it('an opening is shared by all who wait for it', () => {
    const { connections, openings } = slowConnections();
    expect(connections.get('tsk_a' as TaskId, SHOP, undefined, WISH)).toBe(
      connections.get('tsk_a' as TaskId, SHOP, undefined, WISH),
    );
    expect(openings).toHaveLength(1);
  });

  it('A43: a server is told of what its owner lets it ask for, and of nothing else', () => {
    const clientCapabilities = { elicitation: { url: {} }, sampling: {}, roots: {}, experimental: { x: 1 } };
    const { connections, openings } = slowConnections(allowing);
    void connections.get('tsk_a' as TaskId, SHOP, undefined, { prefer: 'modern', clientCapabilities });
    expect(openings[0]?.request).toMatchObject({ prefer: 'modern', clientCapabilities: { elicitation: { url: {} } } });
    expect(Object.keys(openings[0]?.request.clientCapabilities ?? {})).toEqual(['elicitation']);
    const closed = slowConnections();
    void closed.connections.get('tsk_a' as TaskId, SHOP, undefined, { prefer: 'modern', clientCapabilities });
    expect(closed.openings[0]?.request.clientCapabilities).toEqual({});
  });

  it('fault 20: when all are in use, that is what the error says', () => {
    const { connections } = slowConnections({ max: 1 });
    void connections.get('tsk_a' as TaskId, SHOP, undefined, WISH);
    expect(() => connections.get('tsk_b' as TaskId, SHOP, undefined, WISH)).toThrow(
      expect.objectContaining({ code: 'ERR_CONNECTOR_UNREACHABLE', message: 'all 1 upstream connections are in use' }),
    );
  });

  it('a connector that cannot be opened at all holds no place and no lease', () => {
    const connections = createConnections({
      opener: () => {
        throw new Error('no connector');
      },
      timeoutMs: () => 1,
      max: 1,
    });
    const held = heldLease(makeTask('tsk_none'), SHOP);
    expect(() => connections.get('tsk_none' as TaskId, SHOP, held, WISH)).toThrow('no connector');
    expect(connections.size).toBe(0);
    expect(held.uses).toBe(0);
  });

  it('a live one is found in under a microsecond', async () => {
    const { connections, openings } = slowConnections(allowing);
    const held = heldLease(makeTask('tsk_fast'), SHOP);
    const wishes = [ELICITS, { ...WISH, prefer: 'modern' as const }, WISH];
    const opening = wishes.map((wish) => connections.get('tsk_fast' as TaskId, SHOP, held, wish));
    for (const { open } of openings) open();
    await Promise.all(opening);
    const round = (): number => {
      const start = process.hrtime.bigint();
      for (let n = 0; n < 20_000; n++) void connections.get('tsk_fast' as TaskId, SHOP, held, WISH);
      return Number(process.hrtime.bigint() - start) / 20_000;
    };
    // The best of many: other processes share the machine.
    expect(Math.min(...Array.from({ length: 10 }, round))).toBeLessThan(1_000);
  });
});

describe('what connections watch', () => {
  function watched() {
    let wanted: Watch = { lists: false, resources: [] };
    const lost: string[] = [];
    const world = slowConnections({
      hub: {
        eventsFor: () => ({ notification() {}, ask: async () => ({ result: {} }) }),
        wanted: () => wanted,
      },
      onWatchLost: (task, connector, wish) => void lost.push(`${task} ${connector} ${wish.prefer}`),
    });
    const want = (resources: string[]) => {
      wanted = { lists: true, resources };
      return world.connections.watch('tsk_a' as TaskId);
    };
    const open = async (connector = SHOP, wish = WISH) => {
      const opening = connections.get('tsk_a' as TaskId, connector, undefined, wish);
      world.openings.at(-1)?.open();
      await opening;
      await turn();
      return world.openings.at(-1);
    };
    const { connections } = world;
    return { ...world, want, open, lost };
  }

  it('fault 33: what is wanted when one opens, and what is wanted later; nothing is asked for twice', async () => {
    const { want, open, events } = watched();
    await open();
    expect(events).toEqual([]);
    await want(['a:b']);
    await want(['a:b']);
    expect(events).toEqual(['watch shop {"lists":true,"resources":["a:b"]}']);
    await open(DOCS);
    expect(events.at(-1)).toBe('watch docs {"lists":true,"resources":["a:b"]}');
    expect(events).toHaveLength(2);
  });

  it('one connection a connector watches; another takes over when it is gone, and the last one is missed', async () => {
    const { want, open, events, lost } = watched();
    const first = await open();
    const second = await open(SHOP, { ...WISH, prefer: 'modern' });
    await want([]);
    expect(events).toHaveLength(1);
    first?.close();
    await turn();
    expect(events).toHaveLength(2);
    expect(lost).toEqual([]);
    second?.close();
    await turn();
    expect(lost).toEqual(['tsk_a shop modern']);
  });

  it('the last wish wins, and a refusal reaches whoever asked', async () => {
    const { connections, openings, events, want, open } = watched();
    await open();
    const one = want(['a']);
    const two = want(['b']);
    await Promise.all([one, two]);
    expect(events).toEqual(['watch shop {"lists":true,"resources":["b"]}']);
    expect(openings).toHaveLength(1);
    const upstream = connections.get('tsk_a' as TaskId, SHOP, undefined, WISH) as Upstream;
    await upstream.close();
    await turn();
    expect(connections.size).toBe(0);
  });

  it('a notification of the client goes to each live connection of the task that was told to expect it', async () => {
    const { connections, events, open, openings } = watched();
    await open();
    void connections.get('tsk_b' as TaskId, SHOP, undefined, WISH);
    openings.at(-1)?.open();
    await turn();
    connections.notifyTask('tsk_a' as TaskId, 'notifications/x', '');
    connections.notifyTask('tsk_a' as TaskId, 'notifications/roots/list_changed', '');
    expect(events).toEqual(['notify notifications/x']);
  });
});
