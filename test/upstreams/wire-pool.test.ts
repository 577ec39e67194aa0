import { once } from 'node:events';
import type { Socket } from 'node:net';
import { setImmediate as nextTurn } from 'node:timers/promises';
import fc from 'fast-check';
import { buildConnector } from 'undici';
import { afterEach, describe, expect, it } from 'vitest';
import { guardedConnect } from '../../src/adapters/upstreams/guarded-connect.ts';
import { SHARED_READ } from '../../src/adapters/upstreams/wire/read-bytes.ts';
import { RequestHeads } from '../../src/adapters/upstreams/wire/request-heads.ts';
import type { WirePool, WirePoolOptions } from '../../src/adapters/upstreams/wire/wire-pool.ts';
import { type FakeWireServer, plainReply, startFakeWireServer } from '../support/fake-wire-server.ts';
import { selfSigned } from '../support/self-signed.ts';
import { createExchange, createWirePool, send } from '../support/wire-calls.ts';

const closers: (() => Promise<void> | void)[] = [];
afterEach(async () => {
  for (const closer of closers.splice(0).reverse()) await closer();
});

async function setUp(more: Partial<WirePoolOptions> = {}): Promise<{ server: FakeWireServer; pool: WirePool }> {
  const server = await startFakeWireServer();
  closers.push(() => server.close());
  const pool = createWirePool(server.url, more);
  closers.push(() => pool.close());
  return { server, pool };
}

const bodyOf = async (call: ReturnType<typeof send>): Promise<string | undefined> => (await call.outcome).body;
const bodies = ({ seen }: FakeWireServer): string[] => seen.map(({ body }) => body);
const closed = (socket: Socket | undefined): Promise<unknown> => once(socket as Socket, 'close');

/** Timers that run when told to. */
function createTimers() {
  const tasks = new Set<() => void>();
  return {
    tasks,
    schedule: (_ms: number, task: () => void) => {
      tasks.add(task);
      return () => void tasks.delete(task);
    },
    run() {
      for (const task of [...tasks]) {
        tasks.delete(task);
        task();
      }
    },
  };
}

describe('sockets of our own', () => {
  it('gives each of 64 calls at once its own reply, over the sockets that there may be', async () => {
    const { server, pool } = await setUp({ maxSockets: 4 });
    const calls = Array.from({ length: 64 }, (_, n) => send(pool, `{"n":${n}}`));
    expect(await Promise.all(calls.map(bodyOf))).toEqual(calls.map((_, n) => `{"n":${n}}`));
    expect(server.sockets.length).toBe(4);
    expect(server.seen.length).toBe(64);
  });

  it('uses a socket again', async () => {
    const { server, pool } = await setUp();
    for (let n = 0; n < 5; n += 1) expect(await bodyOf(send(pool, `${n}`))).toBe(`${n}`);
    expect(server.sockets.length).toBe(1);
  });

  it('sends and reads any text as it is', async () => {
    const { server, pool } = await setUp();
    await fc.assert(
      fc.asyncProperty(fc.string({ unit: 'binary', maxLength: 100 }), async (text) => {
        const body = JSON.stringify(text);
        expect(await bodyOf(send(pool, body))).toBe(body);
      }),
    );
    expect(server.sockets.length).toBe(1);
  });

  it('works over TLS, with a certificate that is trusted only', async () => {
    const { pem } = selfSigned();
    const server = await startFakeWireServer({ key: pem, cert: pem });
    closers.push(() => server.close());
    const strict = createWirePool(server.url);
    closers.push(() => strict.close());
    const refused = send(strict, '{}');
    expect(await refused.outcome).toMatchObject({ end: 'DEPTH_ZERO_SELF_SIGNED_CERT' });
    expect(refused.exchange.isDispatched).toBe(false);
    expect(server.seen).toEqual([]);
    const lax = createWirePool(server.url, {
      connect: buildConnector({ rejectUnauthorized: false, onread: SHARED_READ }),
    });
    closers.push(() => lax.close());
    const long = JSON.stringify('ä'.repeat(900));
    expect(await bodyOf(send(lax, long))).toBe(long);
  });

  it('A30 checks the address at each connect, and sends nothing to one that may not be gone to', async () => {
    const { server } = await setUp();
    const url = new URL(`http://rebound.example:${server.url.port}/mcp`);
    const connect = guardedConnect({
      hostname: url.hostname,
      allowPrivateNetwork: false,
      lookup: (_name, _options, callback) => callback(null, [{ address: '127.0.0.1', family: 4 }]),
    });
    const pool = createWirePool(url, { connect });
    closers.push(() => pool.close());
    const call = send(pool, '{}');
    expect(await call.outcome).toMatchObject({ end: 'ERR_CONNECTOR_UNREACHABLE' });
    expect(call.exchange.isDispatched).toBe(false);
    expect(server.sockets).toEqual([]);
  });

  it('I2 never sends a call that was given up while it waited', async () => {
    const { server, pool } = await setUp({ maxSockets: 1 });
    const first = send(pool, '1');
    const second = send(pool, '2');
    const third = send(pool, '3');
    second.exchange.abort(new Error('given up'));
    expect(await second.outcome).toMatchObject({ end: 'given up' });
    expect(second.exchange.isDispatched).toBe(false);
    expect(await bodyOf(third)).toBe('3');
    await first.outcome;
    expect(bodies(server)).toEqual(['1', '3']);
  });

  it('I2 gives the connection of a call up that is given up under way, and no other', async () => {
    const { server, pool } = await setUp();
    const held: Socket[] = [];
    server.answer = (socket, { body }) => void (body === '1' ? held.push(socket) : socket.write(plainReply(body)));
    const first = send(pool, '1');
    while (held.length === 0) await nextTurn();
    first.exchange.abort(new Error('given up'));
    expect(await first.outcome).toMatchObject({ end: 'given up' });
    expect(first.exchange.isDispatched).toBe(true);
    await closed(held[0]);
    expect(await bodyOf(send(pool, '2'))).toBe('2');
    expect(server.sockets.length).toBe(2);
    // What is over has no more say over the connection that it had.
    const third = send(pool, '3');
    first.exchange.abort(new Error('again'));
    expect(await bodyOf(third)).toBe('3');
  });

  it('I2 sends nothing again when the server closes without a word', async () => {
    const { server, pool } = await setUp();
    await send(pool, '1').outcome;
    server.answer = (socket) => void socket.end();
    const second = send(pool, '2');
    expect(await second.outcome).toMatchObject({ end: 'UND_ERR_SOCKET' });
    expect(second.exchange.isDispatched).toBe(true);
    expect(bodies(server)).toEqual(['1', '2']);
  });

  it('I2 sends nothing again when a reply that the library reads is given up, or breaks', async () => {
    const { server, pool } = await setUp();
    server.answer = (socket) =>
      socket.write(
        'HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\na\r\ndata: {}\n\n\r\n',
      );
    const given = send(pool, '1');
    while (given.exchange.events === undefined) await nextTurn();
    const isClosed = closed(server.sockets[0]);
    given.exchange.abort(new Error('given up'));
    expect(await given.outcome).toMatchObject({ messages: ['{}'], end: 'given up' });
    await isClosed;
    const broken = send(pool, '2');
    while (broken.exchange.events === undefined) await nextTurn();
    server.sockets[1]?.resetAndDestroy();
    expect(await broken.outcome).toMatchObject({ messages: ['{}'], end: 'ECONNRESET' });
    expect(bodies(server)).toEqual(['1', '2']);
  });

  it('I2 gives a reply up in the moment that it is handed to the library', async () => {
    const { server, pool } = await setUp();
    server.answer = (socket) => socket.write('HTTP/1.1 500 Oh\r\nContent-Length: 2\r\n\r\n{}');
    const call = send(pool, '1');
    const noteOther = pool.noteOther.bind(pool);
    pool.noteOther = () => {
      noteOther();
      queueMicrotask(() => call.exchange.abort(new Error('given up')));
    };
    expect(await call.outcome).toMatchObject({ end: 'given up' });
    await closed(server.sockets[0]);
    expect(bodies(server)).toEqual(['1']);
  });

  it('opens another when the server has closed the one that rested', async () => {
    const { server, pool } = await setUp();
    await send(pool, '1').outcome;
    const isClosed = closed(server.sockets[0]);
    server.sockets[0]?.end();
    await isClosed;
    expect(await bodyOf(send(pool, '2'))).toBe('2');
    expect(server.sockets.length).toBe(2);
  });

  it.each([
    ['behind a reply', (socket: Socket, body: string) => socket.write(plainReply(body) + plainReply('"evil"'))],
    [
      'behind a reply that came in pieces',
      (socket: Socket, body: string) => {
        const text = plainReply(body) + plainReply('"evil"');
        const at = text.indexOf('\r\n\r\n') + 5;
        socket.write(text.slice(0, at));
        setImmediate(() => socket.write(text.slice(at)));
      },
    ],
  ])('I1 bytes %s end the connection, and are no reply to the next call', async (_where, answer) => {
    const { server, pool } = await setUp();
    server.answer = (socket, { body }) => answer(socket, body);
    for (const body of ['"first"', '"second"', '"third"']) expect(await bodyOf(send(pool, body))).toBe(body);
    expect(server.sockets.length).toBe(3);
  });

  it('I1 bytes that come while nothing is asked end the connection', async () => {
    const { server, pool } = await setUp();
    await send(pool, '1').outcome;
    const isClosed = closed(server.sockets[0]);
    server.sockets[0]?.write(plainReply('"evil"'));
    await isClosed;
    expect(await bodyOf(send(pool, '2'))).toBe('2');
  });

  it('I1 bytes that lie there when the next call is made are heard before it is written', async () => {
    const { server, pool } = await setUp();
    await send(pool, '1').outcome;
    // Both within one turn: the bytes are in the kernel by the time that the request would be written.
    await new Promise((resolve) => server.sockets[0]?.write(plainReply('"evil"'), resolve));
    expect(await bodyOf(send(pool, '2'))).toBe('2');
  });

  it('a reply before the question was read to its end is the last on its connection', async () => {
    const server = await startFakeWireServer();
    closers.push(() => server.close());
    const pool = createWirePool(server.url);
    closers.push(() => pool.close());
    await send(pool, '1').outcome;
    // More than the buffers between the two hold.
    server.sockets[0]?.pause();
    const early = send(pool, JSON.stringify('x'.repeat(20_000_000)));
    while (!early.exchange.isDispatched) await nextTurn();
    server.sockets[0]?.write(plainReply('"early"'));
    expect(await bodyOf(early)).toBe('"early"');
    expect(await bodyOf(send(pool, '2'))).toBe('2');
    expect(server.sockets.length).toBe(2);
  });

  it('a hearer that fails costs a connection, not the process', async () => {
    const { server, pool } = await setUp();
    const failing = createExchange(() => {
      throw new Error('hearer');
    });
    await send(pool, '1', failing).outcome;
    await closed(server.sockets[0]);
    expect(await bodyOf(send(pool, '2'))).toBe('2');
  });

  it('closes what has rested for long, on one timer', async () => {
    const timers = createTimers();
    const { server, pool } = await setUp({ schedule: timers.schedule });
    await Promise.all([send(pool, '1').outcome, send(pool, '2').outcome]);
    expect(timers.tasks.size).toBe(1);
    const all = Promise.all(server.sockets.map(closed));
    for (let tick = 0; tick < 3; tick += 1) timers.run();
    expect(await bodyOf(send(pool, '3'))).toBe('3');
    expect(server.sockets.length).toBe(2);
    for (let tick = 0; tick < 4; tick += 1) timers.run();
    await all;
    expect(timers.tasks.size).toBe(0);
  });

  it.each([
    ['timeout=3', 1],
    ['timeout=60, max=9', 4],
    ['timeout=2', 0],
  ])('closes in good time before a server that says Keep-Alive: %s', async (hint, ticks) => {
    const timers = createTimers();
    const { server, pool } = await setUp({ schedule: timers.schedule });
    server.answer = (socket, { body }) => socket.write(plainReply(body, `Keep-Alive: ${hint}`));
    await send(pool, '1').outcome;
    const isClosed = closed(server.sockets[0]);
    for (let tick = 0; tick < ticks; tick += 1) {
      expect(timers.tasks.size).toBe(1);
      timers.run();
    }
    await isClosed;
  });

  it('leaves calls to the library for a while after a reply that was not plain, ever longer', async () => {
    const { server, pool } = await setUp();
    const detours = (): number => {
      let count = 0;
      while (!pool.takesNext()) count += 1;
      return count;
    };
    const other = 'HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\n';
    expect(detours()).toBe(0);
    server.answer = (socket) => socket.end(other);
    // Those that were under way at once count once.
    await Promise.all([send(pool, '1').outcome, send(pool, '2').outcome]);
    expect(detours()).toBe(256);
    await send(pool, '3').outcome;
    expect(detours()).toBe(512);
    server.answer = (socket, { body }) => socket.write(plainReply(body));
    await send(pool, '4').outcome;
    server.answer = (socket) => socket.end(other);
    await send(pool, '5').outcome;
    expect(detours()).toBe(256);
  });

  it('fails each call once where nobody listens, and none of them is sent', async () => {
    const { server, pool } = await setUp({ maxSockets: 2 });
    await server.close();
    const calls = Array.from({ length: 5 }, (_, n) => send(pool, `${n}`));
    for (const { outcome, exchange } of calls) {
      expect(await outcome).toMatchObject({ end: 'ECONNREFUSED' });
      expect(exchange.isDispatched).toBe(false);
    }
  });

  it('ends what is under way, waits or rests when it is closed', async () => {
    const { server, pool } = await setUp({ maxSockets: 2 });
    server.answer = (socket) => void socket.pause();
    const calls = Array.from({ length: 4 }, (_, n) => send(pool, `${n}`));
    while (server.seen.length < 2) await nextTurn();
    const all = Promise.all(server.sockets.map((socket) => closed(socket.resume())));
    pool.close();
    pool.close();
    for (const { outcome } of [...calls, send(pool, 'late')])
      expect(await outcome).toMatchObject({ end: 'UND_ERR_DESTROYED' });
    await all;
    expect(bodies(server).sort()).toEqual(['0', '1']);
  });
});

describe('the head of a request', () => {
  const heads = new RequestHeads('host.example:8080');

  it('is what HTTP wants, and the common part is written once', () => {
    const common = ['accept', 'application/json'];
    expect(heads.headOf('/mcp?a=b', common, ['mcp-method', 'tools/call'])).toBe(
      'POST /mcp?a=b HTTP/1.1\r\nhost: host.example:8080\r\nconnection: keep-alive\r\naccept: application/json\r\nmcp-method: tools/call\r\n',
    );
    common.push('mcp-session-id', 'abc');
    expect(heads.headOf('/mcp', common, [])).toMatch(/\r\nmcp-session-id: abc\r\n$/);
    heads.forget();
  });

  it('A13 holds one line a header, or there is none', () => {
    const text = fc.oneof(fc.string({ unit: 'binary' }), fc.constantFrom('a\r\nevil: 1', 'a\n', '\r', 'a\0', 'é', 'ā'));
    fc.assert(
      fc.property(text, text, fc.boolean(), (name, value, isCommon) => {
        const header = [name, value];
        const head = isCommon ? heads.headOf('/', header, []) : heads.headOf('/', [], header);
        if (head === undefined) return;
        expect(head.split(/[\r\n\0]+/)).toHaveLength(5);
        expect(head).toMatch(/^[\t\r\n\x20-\x7e\x80-\xff]*$/);
      }),
    );
  });

  it.each([
    ['content-length', '0'],
    ['Transfer-Encoding', 'chunked'],
    ['host', 'evil.example'],
    ['connection', 'close'],
    ['', 'x'],
    ['a b', 'x'],
    ['a:b', 'x'],
    ['x', 'a\r\nb: c'],
  ])('A13 is not written with a header %j: %j', (name, value) => {
    expect(heads.headOf('/', [name, value], [])).toBeUndefined();
    expect(heads.headOf('/', [], [name, value])).toBeUndefined();
  });

  it.each(['/a b', '/a\r\nb', 'a', '/é'])('A13 is not written for the path %j', (path) => {
    expect(heads.headOf(path, [], [])).toBeUndefined();
  });
});
