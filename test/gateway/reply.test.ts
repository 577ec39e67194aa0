import { once } from 'node:events';
import { createServer, type Server, type ServerResponse } from 'node:http';
import { type AddressInfo, connect, type Socket } from 'node:net';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { Pulse } from '../../src/gateway/edge/pulse.ts';
import { createReply, type Reply } from '../../src/gateway/edge/reply.ts';
import { createFakeTime, type FakeTime } from '../support/fake-lease-time.ts';

let server: Server;
let time: FakeTime;
let responses: ServerResponse[];
const sockets: Socket[] = [];

beforeEach(async () => {
  time = createFakeTime();
  responses = [];
  server = createServer((_, response) => {
    responses.push(response);
    server.emit('reply');
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
});
afterEach(async () => {
  for (const socket of sockets.splice(0)) socket.destroy();
  server.close();
  server.closeAllConnections();
  await once(server, 'close');
});

interface Client {
  readonly socket: Socket;
  readonly response: ServerResponse;
  readonly reply: Reply;
  /** Everything received, when the connection is over. */
  text(): Promise<string>;
  /** Chunks as they came. */
  readonly chunks: string[];
}

async function connected(acceptsStream = true): Promise<Client> {
  const socket = connect((server.address() as AddressInfo).port, '127.0.0.1');
  sockets.push(socket);
  const arrived = once(server, 'reply');
  socket.write('POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\nConnection: close\r\n\r\n');
  await arrived;
  const chunks: string[] = [];
  socket.setEncoding('utf8').on('error', () => {});
  const over = once(socket, 'close');
  const response = responses.at(-1) as ServerResponse;
  return {
    socket,
    response,
    chunks,
    reply: createReply(response, { acceptsStream, schedule: time.schedule, heartbeatMs: 15_000 }),
    async text() {
      socket.on('data', (chunk) => chunks.push(String(chunk)));
      await over;
      return chunks.join('');
    },
  };
}

async function* pieces(...texts: string[]): AsyncGenerator<Buffer> {
  for (const text of texts) yield Buffer.from(text);
}
const HEAD = '{"jsonrpc":"2.0","id":1,"result":';
const OK = { status: 200, body: `${HEAD}{}}` };

describe('a reply', () => {
  it('is one JSON answer when nothing was said before it', async () => {
    const { reply, text } = await connected();
    void reply.finish(OK);
    const got = await text();
    expect(got).toContain('Content-Type: application/json');
    expect(got).toContain(OK.body);
    expect(reply.isStream).toBe(false);
  });

  it('is a stream from the first notification on', async () => {
    const { reply, text } = await connected();
    reply.notify('notifications/progress', { progress: 1 });
    expect(reply.request(5, 'ping', {})).toBe(true);
    void reply.finish({ status: 200, body: '{"a":\r\n1}' });
    reply.notify('notifications/progress', { progress: 2 });
    const got = await text();
    expect(got).toContain('Content-Type: text/event-stream');
    expect(got).toContain('data: {"jsonrpc":"2.0","method":"notifications/progress","params":{"progress":1}}\n\n');
    expect(got).toContain('data: {"jsonrpc":"2.0","id":5,"method":"ping","params":{}}\n\n');
    expect(got).toContain('data: {"a":  1}\n\n');
    expect(got).not.toContain('"progress":2');
  });

  it('stays JSON for a client that reads no streams, however long it takes', async () => {
    const { reply, text } = await connected(false);
    reply.notify('notifications/progress', {});
    expect(reply.request(5, 'ping', {})).toBe(false);
    await time.advance(60_000);
    void reply.finish(OK);
    expect(await text()).toContain('Content-Type: application/json');
  });

  it('fault 26: 15 seconds of silence make it a stream with heartbeats', async () => {
    const { reply, text } = await connected();
    const got = text();
    await time.advance(14_000);
    expect(reply.isStream).toBe(false);
    await time.advance(1_000);
    expect(reply.isStream).toBe(true);
    await time.advance(15_000);
    void reply.finish(OK);
    expect((await got).match(/:\n\n/g)).toHaveLength(2);
    await time.advance(60_000);
    expect(time.pending).toBe(0);
  });

  it('many events of one tick leave in one write', async () => {
    const { reply, response, text } = await connected();
    let writes = 0;
    const { write } = response;
    response.write = ((...of: Parameters<typeof write>) => {
      writes += 1;
      return write.apply(response, of);
    }) as typeof write;
    for (let n = 0; n < 100; n++) reply.notify('notifications/progress', { progress: n });
    await time.settle();
    expect(writes).toBe(1);
    void reply.finish(OK);
    expect((await text()).match(/"progress"/g)).toHaveLength(100);
  });

  it('fault 29: a reader that stalls costs a mebibyte at most, and is closed', async () => {
    const { reply, response, socket } = await connected();
    socket.pause();
    let isGone = false;
    reply.onGone(() => {
      isGone = true;
    });
    const params = { data: 'x'.repeat(10_000) };
    let most = 0;
    // What the kernel takes does not count; 300 MB is what the naive way held.
    for (let n = 0; n < 30_000 && !isGone; n++) {
      reply.notify('notifications/message', params);
      await time.settle();
      most = Math.max(most, response.writableLength);
    }
    expect(isGone).toBe(true);
    expect(response.destroyed).toBe(true);
    expect(most).toBeLessThan(1.1 * 1024 * 1024);
    expect(most).toBeGreaterThan(500_000);
  });

  it('fault 29: a reader that takes nothing from one heartbeat to the next is closed', async () => {
    const { reply, response, socket } = await connected();
    socket.pause();
    while (response.writableLength < 100_000) {
      reply.notify('notifications/message', { data: 'x'.repeat(10_000) });
      await time.settle();
    }
    await time.advance(15_000);
    expect(response.destroyed).toBe(false);
    await time.advance(15_000);
    expect(response.destroyed).toBe(true);
  });

  it.each([true, false])(
    'fault 29: one that does not take its answer is closed too (a stream: %s)',
    async (isStream) => {
      const { reply, response, socket } = await connected(isStream);
      socket.pause();
      if (isStream) reply.notify('notifications/progress', {});
      void reply.finish({ status: 200, body: JSON.stringify('x'.repeat(8_000_000)) });
      await time.advance(15_000);
      expect(response.destroyed).toBe(false);
      await time.advance(15_000);
      expect(response.destroyed).toBe(true);
      await time.advance(30_000);
      expect(time.pending).toBe(0);
    },
  );

  it('says once that the client has gone, and not after the answer', async () => {
    const gone: string[] = [];
    const first = await connected();
    first.reply.onGone(() => gone.push('first'));
    first.socket.destroy();
    await once(first.response, 'close');
    first.reply.onGone(() => gone.push('late'));
    void first.reply.finish(OK);
    const second = await connected();
    second.reply.onGone(() => gone.push('second'));
    void second.reply.finish(OK);
    await second.text();
    expect(gone).toEqual(['first', 'late']);
  });
});

describe('a large answer', () => {
  it('is the head, the pieces and a brace', async () => {
    const { reply, text } = await connected();
    await reply.finish({ id: 1, head: HEAD, chunks: pieces('{"a":', '"xyz', '"}') });
    const got = await text();
    expect(got).toContain('Content-Type: application/json');
    const body = got.slice(got.indexOf('\r\n\r\n') + 4).replace(/[0-9a-f]+\r\n|\r\n/g, '');
    expect(JSON.parse(body)).toEqual({ jsonrpc: '2.0', id: 1, result: { a: 'xyz' } });
  });

  it('on a stream it is one event, its line ends spaces', async () => {
    const { reply, text } = await connected();
    reply.notify('notifications/progress', {});
    const mine = Buffer.from('{\n"a"\r\n:');
    await reply.finish({
      id: 1,
      head: HEAD,
      chunks: (async function* () {
        yield mine;
        yield Buffer.from('1}');
      })(),
    });
    const data = (await text()).replace(/\r\n[0-9a-f]+\r\n/g, '').split('\n\n');
    expect(JSON.parse((data[1] as string).replace('data: ', ''))).toEqual({ jsonrpc: '2.0', id: 1, result: { a: 1 } });
    expect(mine.toString()).toBe('{\n"a"\r\n:');
  });

  it('a connector that breaks off before the first piece is answered for', async () => {
    const { reply, text } = await connected();
    await reply.finish({
      id: 1,
      head: HEAD,
      // biome-ignore lint/correctness/useYield: it fails before it can
      chunks: (async function* (): AsyncGenerator<Buffer> {
        throw new Error('gone');
      })(),
    });
    expect(await text()).toContain('broke off');
  });

  it.each([true, false])(
    'one that breaks off later breaks the connection, so that half is never taken for whole',
    async (isStream) => {
      const { reply, text } = await connected();
      if (isStream) reply.notify('notifications/progress', {});
      await reply.finish({
        id: 1,
        head: HEAD,
        chunks: (async function* () {
          yield Buffer.from('{"half":');
          throw new Error('gone');
        })(),
      });
      const got = await text();
      expect(got).not.toMatch(/\r\n0\r\n\r\n$/);
    },
  );

  it('fault 29: the reader sets the pace, and one that stalls is closed and lets go of the connector', async () => {
    const { reply, response, socket } = await connected();
    socket.pause();
    let isLeft = false;
    let given = 0;
    let most = 0;
    const writing = reply.finish({
      id: 1,
      head: HEAD,
      chunks: (async function* () {
        try {
          for (;;) {
            given += 1;
            most = Math.max(most, response.writableLength);
            yield Buffer.alloc(65_536, 120);
          }
        } finally {
          isLeft = true;
        }
      })(),
    });
    let before = -1;
    while (before !== given) {
      before = given;
      for (let n = 0; n < 20; n++) await time.settle();
    }
    expect(most).toBeLessThan(300_000);
    await time.advance(30_000);
    await writing;
    expect([isLeft, response.destroyed]).toEqual([true, true]);
  });
});

describe('the pulse', () => {
  const entry = (beats: number[]) => ({ slot: -1, beat: () => void beats.push(time.clock()) });

  it('wakes each once an interval, with one timer for all, and none for nobody', async () => {
    const pulse = new Pulse(time.schedule, 16_000);
    const beats = Array.from({ length: 100 }, () => [] as number[]);
    const entries = beats.map(entry);
    for (const one of entries) {
      pulse.add(one);
      pulse.add(one);
      await time.advance(250);
    }
    expect([pulse.size, time.pending]).toEqual([100, 1]);
    await time.advance(64_000);
    for (const one of beats) {
      expect(one.length).toBeGreaterThanOrEqual(4);
      for (let at = 1; at < one.length; at++) expect((one[at] as number) - (one[at - 1] as number)).toBe(16_000);
    }
    for (const one of entries) pulse.remove(one);
    await time.advance(1_000);
    expect([pulse.size, time.pending]).toEqual([0, 0]);
  });
});
