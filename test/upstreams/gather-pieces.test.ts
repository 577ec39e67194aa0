import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo, Socket } from 'node:net';
import { Duplex } from 'node:stream';
import { buildConnector, Pool } from 'undici';
import { afterEach, describe, expect, it } from 'vitest';
import { createGatherer, gathering } from '../../src/adapters/upstreams/gather-pieces.ts';

describe('pieces of a busy stream', () => {
  const closers: (() => Promise<unknown>)[] = [];
  afterEach(async () => {
    for (const close of closers.splice(0).reverse()) await close();
  });

  /** A socket without a network, what was told of it, and the time. */
  function makeSocket() {
    let at = 0;
    const due: (() => void)[] = [];
    const gather = createGatherer({
      schedule(_, task) {
        due.push(task);
        return () => {};
      },
      now: () => at,
    });
    const socket = gather(new Duplex({ read() {}, write: (_chunk, _encoding, done) => done() }) as unknown as Socket);
    const told: string[] = [];
    // As undici does: whatever there is.
    socket.on('readable', () => {
      for (let chunk = socket.read(); chunk !== null; chunk = socket.read()) told.push(String(chunk));
    });
    const turn = (): Promise<void> => new Promise(setImmediate);
    return {
      socket,
      told,
      due,
      pass(ms: number): void {
        at += ms;
      },
      async piece(text: string): Promise<boolean> {
        const hasRoom = (socket as unknown as Duplex).push(text);
        await turn();
        return hasRoom;
      },
      async look(): Promise<void> {
        for (const task of due.splice(0)) task();
        await turn();
      },
    };
  }

  it('are told at once while they are few, and together from then on, in their order', async () => {
    const { told, due, piece, look } = makeSocket();
    for (const text of 'abcd') await piece(text);
    expect(told).toEqual(['a', 'b', 'c', 'd']);
    expect(due).toEqual([]);
    await piece('e');
    // The one that there is no room for stops the reading: nothing is taken from the network meanwhile.
    expect(await piece('f')).toBe(false);
    await piece('g');
    expect(told).toHaveLength(4);
    expect(due).toHaveLength(1);
    await look();
    expect(told.join('')).toBe('abcdefg');
    expect(told).toHaveLength(5);
    await piece('h');
    expect(told).toHaveLength(5);
    await look();
    expect(told.join('')).toBe('abcdefgh');
  });

  it('are told at once again after a pause, after something was written, and where much comes', async () => {
    const { socket, told, piece, look, pass } = makeSocket();
    const run = async (): Promise<void> => {
      for (const text of '1234') await piece(text);
      await piece('5');
      await look();
    };
    await run();
    pass(50);
    told.length = 0;
    await piece('late');
    expect(told).toEqual(['late']);
    await run();
    told.length = 0;
    socket.write('another request');
    expect(await piece('answer')).toBe(true);
    expect(told).toEqual(['answer']);
    await run();
    told.length = 0;
    const large = 'x'.repeat(5_000);
    await piece(large);
    await piece(large);
    expect(told).toEqual([large, large]);
  });

  it('of a socket that is gone are told to nobody, and its end comes behind what it brought', async () => {
    const gone = makeSocket();
    for (const text of 'abcde') await gone.piece(text);
    gone.socket.destroy();
    await gone.look();
    expect(gone.told).toEqual(['a', 'b', 'c', 'd']);

    const ended = makeSocket();
    const order: string[] = [];
    ended.socket.on('end', () => order.push(`end after ${ended.told.join('')}`));
    for (const text of 'abcde') await ended.piece(text);
    (ended.socket as unknown as Duplex).push(null);
    await new Promise(setImmediate);
    expect(order).toEqual([]);
    await ended.look();
    expect(order).toEqual(['end after abcde']);
  });

  async function serve(answer: (request: IncomingMessage, response: ServerResponse) => void): Promise<Pool> {
    const server = createServer(answer);
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    closers.push(() => new Promise((resolve) => server.close(resolve)));
    const schedule = (ms: number, task: () => void): (() => void) => {
      const timer = setTimeout(task, ms);
      return () => clearTimeout(timer);
    };
    const connect = gathering(buildConnector({}), { schedule, now: () => performance.now() });
    const pool = new Pool(`http://127.0.0.1:${(server.address() as AddressInfo).port}`, { connect, connections: 4 });
    closers.push(() => pool.destroy());
    return pool;
  }

  it('come whole through undici, on a socket that is used again and again', async () => {
    const sent = Array.from({ length: 400 }, (_, at) => `data: event ${at} ${'ä'.repeat(at % 40)}\n\n`);
    const pool = await serve((_, response) => {
      response.writeHead(200, { 'content-type': 'text/event-stream' });
      let at = 0;
      const next = (): void => {
        if (at === sent.length) return void response.end();
        response.write(sent[at]);
        at += 1;
        setImmediate(next);
      };
      next();
    });
    for (let round = 0; round < 3; round += 1) {
      const texts = await Promise.all(
        Array.from({ length: 4 }, async () => {
          const { body } = await pool.request({ path: '/', method: 'POST', body: '{}' });
          const pieces: Buffer[] = [];
          for await (const piece of body) pieces.push(piece as Buffer);
          return Buffer.concat(pieces).toString();
        }),
      );
      expect(texts).toEqual(Array.from({ length: 4 }, () => sent.join('')));
    }
  });

  it('of a connection that breaks end the call', async () => {
    const pool = await serve((_, response) => {
      response.writeHead(200, { 'content-type': 'text/event-stream' });
      let at = 0;
      const next = (): void => {
        response.write('data: one\n\n');
        at += 1;
        if (at === 50) response.destroy();
        else setImmediate(next);
      };
      next();
    });
    const { body } = await pool.request({ path: '/', method: 'GET' });
    await expect(body.text()).rejects.toThrow();
  });

  it('a large body is not held up', async () => {
    const bytes = 20 * 1024 * 1024;
    const pool = await serve((_, response) => response.end(Buffer.alloc(bytes)));
    const { body } = await pool.request({ path: '/', method: 'GET' });
    let length = 0;
    for await (const piece of body) length += (piece as Buffer).length;
    expect(length).toBe(bytes);
  });
});
