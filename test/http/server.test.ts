import { once } from 'node:events';
import { connect } from 'node:net';
import { afterEach, describe, expect, it } from 'vitest';
import type { Schedule } from '../../src/seams/clock.ts';
import { type FakeLegacy, type LegacyOptions, result, rpc, startLegacy } from '../support/fake-legacy-edge.ts';

let gateway: FakeLegacy;
const start = async (options: LegacyOptions = {}): Promise<void> => {
  gateway = await startLegacy(options);
};
afterEach(() => gateway.close());

const realTime: Schedule = (ms, task) => {
  const timer = setTimeout(task, ms);
  return () => clearTimeout(timer);
};
const CALL = rpc('tools/call', { _meta: { progressToken: 1 } });
const finishers: (() => void)[] = [];
/** Waits, and says why it was cancelled. */
function waiting(reasons: string[]): NonNullable<LegacyOptions['handle']> {
  finishers.length = 0;
  return ({ cancellation }) =>
    new Promise((resolve) => {
      finishers.push(() => resolve(result({ done: true })));
      cancellation.onCancel((why) => {
        reasons.push(why);
        resolve(result());
      });
    });
}
const begun = async (count = 1): Promise<void> => {
  while (finishers.length < count) await gateway.time.settle();
};

describe('paths', () => {
  it('/mcp is for all connectors, /mcp/<connector> for one, and nothing else is', async () => {
    await start();
    expect((await gateway.send(rpc('tools/list'))).status).toBe(200);
    expect((await gateway.send(rpc('tools/list'), { path: '/mcp/shop' })).status).toBe(200);
    expect(gateway.handled.map(({ scope }) => scope)).toEqual([undefined, 'shop']);
    for (const path of ['/mcp/none', '/mcp/', '/mcp/shop/', '/mcp/shop/x', '/mcpx', '/MCP']) {
      expect((await gateway.send(rpc('tools/list'), { path })).status).toBe(404);
    }
    expect(gateway.handled).toHaveLength(2);
  });

  it('RFC 9728: each of them finds the one resource that it belongs to', async () => {
    await start();
    const resource = `http://127.0.0.1:${gateway.port}/mcp`;
    for (const path of ['', '/mcp', '/mcp/shop']) {
      const answer = await gateway.send(undefined, { path: `/.well-known/oauth-protected-resource${path}` });
      expect(answer.body).toEqual({ resource });
    }
    const other = await gateway.send(undefined, { path: '/.well-known/oauth-protected-resource/elsewhere' });
    expect(other.status).toBe(404);
  });

  it('fault 18: asking for its health makes no session', async () => {
    await start();
    for (let n = 0; n < 10; n++) {
      expect((await gateway.send(undefined, { path: '/healthz' })).body).toEqual({ status: 'serving' });
    }
    expect(gateway.edge.sessions).toBe(0);
  });
});

it('D1 /readyz says whether anything should be sent here, and why not, to anybody', async () => {
  let why: string | undefined = 'not a member of the nodes';
  await start({ unready: () => why });
  const ask = (headers = {}) => gateway.send(undefined, { path: '/readyz', token: 'nobody', headers });
  expect(await ask()).toMatchObject({ status: 503, body: { status: 'not_ready', why } });
  expect(await gateway.send(undefined, { path: '/approvals' })).toMatchObject({ status: 503, body: { why } });
  why = undefined;
  expect(await ask()).toMatchObject({ status: 200, body: { status: 'ready' } });
  expect((await ask({ Host: 'evil.example' })).status).toBe(421);
});

describe('connections', () => {
  it('I3: more than there may be are closed as they come', async () => {
    await start({ server: { maxConnections: 2 } });
    const open = [0, 1].map(() => connect(gateway.port, '127.0.0.1'));
    await Promise.all(open.map((socket) => once(socket, 'connect')));
    await gateway.time.settle();
    const third = connect(gateway.port, '127.0.0.1');
    third.on('error', () => {});
    third.resume();
    await once(third, 'close');
    for (const socket of open) socket.destroy();
  });
});

describe('fault 30: a stop', () => {
  it('that is to come: what comes is served, ends its connection, and is told to go elsewhere', async () => {
    await start({ server: { drainMs: 60_000 } });
    const ask = (path: string) => gateway.send(rpc('tools/list'), { path, headers: { Connection: 'keep-alive' } });
    expect((await ask('/mcp')).headers.connection).not.toBe('close');
    gateway.server.retire();
    expect(await ask('/mcp')).toMatchObject({ status: 200, headers: { connection: 'close' } });
    expect(await ask('/healthz')).toMatchObject({ status: 200, headers: { connection: 'close' } });
    expect(await ask('/readyz')).toMatchObject({ status: 503, body: { why: 'stopping' } });
  });

  it('closes GET streams at once, lets a call finish, and says that its connection ends', async () => {
    const reasons: string[] = [];
    await start({ handle: waiting(reasons), server: { drainMs: 60_000 }, schedule: realTime });
    const session = await gateway.session();
    const events = await gateway.stream(undefined, { session });
    const call = gateway.send(CALL, { session, headers: { Connection: 'keep-alive' } });
    await begun();
    const closed = gateway.server.close();
    await events.whole();
    finishers[0]?.();
    const answer = await call;
    expect(answer.body.result).toEqual({ done: true });
    expect(answer.headers.connection).toBe('close');
    await closed;
    expect(reasons).toEqual([]);
  });

  it('a streamed reply is finished too', async () => {
    const reasons: string[] = [];
    await start({ handle: waiting(reasons), server: { drainMs: 60_000 }, schedule: realTime });
    const session = await gateway.session();
    const call = gateway.begin(CALL, { session });
    await begun();
    gateway.handled[0]?.client.notify('notifications/progress', { progressToken: 1, progress: 1 });
    const events = await call.events;
    const closed = gateway.server.close();
    gateway.handled[0]?.client.notify('notifications/progress', { progressToken: 1, progress: 2 });
    finishers[0]?.();
    const messages = (await events.rest()).filter(({ data }) => data);
    expect(messages.at(-1)?.data).toContain('"done":true');
    expect(messages).toHaveLength(3);
    await closed;
    expect(reasons).toEqual([]);
  });

  it('what is left after the time for it is cut, and its outcome is unknown', async () => {
    const reasons: string[] = [];
    await start({ handle: waiting(reasons), server: { drainMs: 100 }, schedule: realTime });
    const session = await gateway.session();
    const silent = gateway.begin(CALL, { session });
    await begun(1);
    const streamed = gateway.begin({ ...CALL, id: 2 }, { session });
    await begun(2);
    const sessionless = gateway.begin({ ...CALL, id: 3 });
    await begun(3);
    gateway.handled[1]?.client.notify('notifications/progress', { progressToken: 1, progress: 1 });
    const events = await streamed.events;
    await gateway.server.close();
    await expect(silent.events).rejects.toThrow();
    await expect(sessionless.events).rejects.toThrow();
    await events.whole();
    while (reasons.length < 3) await gateway.time.settle();
    expect(reasons).toEqual(['gateway stopping', 'gateway stopping', 'gateway stopping']);
  });

  it('a call whose client has lost its connection has nobody to go on for', async () => {
    const reasons: string[] = [];
    await start({ handle: waiting(reasons), server: { drainMs: 60_000 }, schedule: realTime });
    const session = await gateway.session();
    const call = gateway.begin(CALL, { session });
    await begun();
    gateway.handled[0]?.client.notify('notifications/progress', { progressToken: 1, progress: 1 });
    const events = await call.events;
    await events.next();
    await events.drop();
    for (let n = 0; n < 10; n++) await gateway.time.settle();
    expect(reasons).toEqual([]);
    await gateway.server.close();
    expect(reasons).toEqual(['gateway stopping']);
  });

  it('begins nothing new on a connection that is still there, but takes answers and cancellations', async () => {
    const reasons: string[] = [];
    await start({ handle: waiting(reasons) });
    const session = await gateway.session();
    const call = gateway.send(CALL, { session });
    await begun();
    gateway.edge.drain();
    for (const body of [CALL, rpc('initialize')]) {
      const asked = body === CALL ? { session } : {};
      const { status, body: answer } = await gateway.send({ ...body, id: 9 }, asked);
      expect([status, answer.error.message]).toEqual([503, expect.stringContaining('nothing was forwarded')]);
    }
    expect((await gateway.send(undefined, { session })).status).toBe(503);
    const cancel = { jsonrpc: '2.0', method: 'notifications/cancelled', params: { requestId: 1 } };
    expect((await gateway.send(cancel, { session })).status).toBe(202);
    await call;
    expect(reasons).toEqual(['cancelled by the client']);
    expect(gateway.handled).toHaveLength(1);
  });

  it('can be asked for twice', async () => {
    await start({ schedule: realTime });
    await Promise.all([gateway.server.close(), gateway.server.close()]);
  });
});
