import { createServer, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import {
  createHttpOpener,
  type HttpOpener,
  type HttpOpenerOptions,
} from '../../src/adapters/upstreams/http-upstream.ts';
import { ResultScanner } from '../../src/adapters/upstreams/result-scanner.ts';
import { Cancellation } from '../../src/domain/cancellation.ts';
import { connectorId, taskId } from '../../src/domain/ids.ts';
import { NO_CREDENTIAL, type Upstream, type UpstreamReply } from '../../src/seams/upstream.ts';
import { CLIENT, schedule } from '../support/fake-mcp-setup.ts';

function cut(bytes: Buffer, places: readonly number[]): Buffer[] {
  const ends = [...new Set(places.map((place) => place % (bytes.length + 1)))].sort((a, b) => a - b);
  return [...ends, bytes.length].map((end, index) => bytes.subarray(ends[index - 1] ?? 0, end));
}

/** Where the scanner sees the end; −1 where the text goes on, undefined where it throws. */
function endOf(text: string, places: readonly number[] = []): number | undefined {
  const scanner = new ResultScanner('here');
  let before = 0;
  try {
    for (const piece of cut(Buffer.from(text), places)) {
      const end = scanner.push(piece);
      if (end !== -1) return before + end;
      before += piece.length;
    }
    return -1;
  } catch (error) {
    expect(error).toMatchObject({ code: 'ERR_CONNECTOR_PROTOCOL' });
    return undefined;
  }
}

describe('ResultScanner', () => {
  it('finds the end of any object, however its bytes are cut', () => {
    fc.assert(
      fc.property(
        fc.dictionary(fc.string(), fc.jsonValue()),
        fc.array(fc.nat()),
        fc.constantFrom(0, 1),
        (value, places, indent) => {
          fc.pre(!('resultType' in value));
          const text = JSON.stringify(value, null, indent);
          expect(endOf(`${text},"jsonrpc":"2.0"}`, places)).toBe(Buffer.byteLength(text));
        },
      ),
      { numRuns: 500 },
    );
  });

  it('takes for well-formed exactly what JSON.parse does', () => {
    const piece = fc.constantFrom(
      ...[
        '{',
        '}',
        '[',
        ']',
        ',',
        ':',
        '"',
        '\\',
        'u00e9',
        '\\u',
        '\\n',
        'a',
        '"a":',
        '0',
        '1',
        '-',
        '.',
        'e',
        'E',
        '+',
      ],
      ...['true', 'false', 'null', 'tru', ' ', '\n', '\t', '\u0001', '"b"', '1.5e3', '-0', '01', '{}', '[]'],
    );
    fc.assert(
      fc.property(fc.array(piece, { maxLength: 8 }), fc.array(fc.nat(), { maxLength: 3 }), (pieces, places) => {
        const text = `{"a":${pieces.join('')}}`;
        let isJson = true;
        try {
          JSON.parse(text);
        } catch {
          isJson = false;
        }
        const end = endOf(text, places);
        if (isJson) expect(end).toBe(Buffer.byteLength(text));
        // An object may end earlier: what follows it is then no part of it, and checked with the envelope.
        else if (end !== undefined && end !== -1) expect(() => JSON.parse(text.slice(0, end))).not.toThrow();
      }),
      { numRuns: 5_000 },
    );
  });

  it.each([
    ['{"resultType":"complete","a":1}', true],
    ['{"a":{"resultType":"input_required"}}', true],
    ['{"resultType":"input_required"}', false],
    ['{"a":1,"resultType":"task"}', false],
    ['{"resultType":null}', false],
    ['{"resultType":["complete"]}', false],
    ['{"r\\u0065sultType":"input_required"}', false],
    ['{"\\u0072\\u0065\\u0073\\u0075\\u006c\\u0074\\u0054\\u0079\\u0070\\u0065":"x"}', false],
    ['{"resultType":"c\\u006fmplete"}', true],
    [`{"resultType":"${'x'.repeat(1_000)}"}`, false],
    ['{"resultType":"complete","resultType":"task"}', false],
  ])('I2: takes %s for complete: %s', (text, isComplete) => {
    for (const places of [[], Array.from({ length: text.length }, (_, at) => at)])
      expect(endOf(text, places)).toBe(isComplete ? text.length : undefined);
  });

  it('fault 36: bounds the depth', () => {
    const deep = (levels: number): string => `{"a":${'['.repeat(levels)}${']'.repeat(levels)}}`;
    expect(endOf(deep(900))).toBeGreaterThan(0);
    expect(endOf(deep(1_100))).toBeUndefined();
  });
});

describe('a large result over HTTP', () => {
  let answer: (response: ServerResponse, id: number) => void;
  let opener: HttpOpener;
  let url: string;
  /** After a reply that is not plain, those that follow are left to the library. */
  let isByLibrary = false;
  const server = createServer((request, response) => {
    const chunks: Buffer[] = [];
    request.on('data', (chunk: Buffer) => chunks.push(chunk));
    request.on('end', () => {
      const { id, method } = JSON.parse(Buffer.concat(chunks).toString()) as { id: number; method: string };
      const result = { supportedVersions: ['2026-07-28'], capabilities: {} };
      if (!isByLibrary || method !== 'server/discover') response.setHeader('content-type', 'application/json');
      if (method === 'server/discover') response.end(JSON.stringify({ jsonrpc: '2.0', id, result }));
      else answer(response, id);
    });
  });

  beforeEach(async () => {
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/`;
  });
  afterEach(async () => {
    isByLibrary = false;
    await opener.close();
    await new Promise<void>((resolve) => {
      server.close(() => resolve());
      server.closeAllConnections();
    });
  });

  async function open(more: Partial<HttpOpenerOptions> = {}): Promise<Upstream> {
    opener = createHttpOpener({ url, clientInfo: CLIENT, schedule, protocol: 'modern', largeBytes: 4_096, ...more });
    return await opener.open({
      connector: connectorId('fake'),
      task: taskId('tsk_a'),
      injection: NO_CREDENTIAL,
      timeoutMs: 5_000,
      prefer: 'modern',
      clientCapabilities: {},
    });
  }
  const call = (upstream: Upstream, timeoutMs = 5_000, cancellation?: Cancellation): Promise<UpstreamReply> =>
    upstream.request({ method: 'big', params: '', meta: '', timeoutMs, cancellation });

  function chunksOf(reply: UpstreamReply): AsyncIterable<Buffer> {
    if (!('resultChunks' in reply)) throw new Error(`it is held: ${JSON.stringify(reply).slice(0, 100)}`);
    return reply.resultChunks;
  }
  async function read(reply: UpstreamReply): Promise<string> {
    const chunks: Buffer[] = [];
    for await (const chunk of chunksOf(reply)) chunks.push(chunk);
    return Buffer.concat(chunks).toString();
  }

  const result = JSON.stringify({ content: [{ type: 'text', text: 'é😀"\\'.repeat(5_000) }] });

  it.each([
    ['id first', (id: number) => `{"jsonrpc":"2.0","id":${id},"result":${result}}`],
    ['id first, other order', (id: number) => `{"id":${id},"jsonrpc":"2.0","result":${result}}`],
    ['result first', (id: number) => `{"result":${result},"jsonrpc":"2.0","id":${id}}`],
    ['spaced', (id: number) => `{ "jsonrpc" : "2.0",\n "id" : ${id},\n "result" :\n ${result}\n }\n`],
    ['on both sides', (id: number) => `{"jsonrpc":"2.0","result":${result},"id":${id}}`],
  ])('is passed on to the byte, without its envelope (%s)', async (_order, write) => {
    for (const [byLibrary, length] of [
      [false, true],
      [false, false],
      [true, true],
      [true, false],
    ]) {
      isByLibrary = byLibrary === true;
      const upstream = await open();
      answer = (response, id) => {
        const body = write(id);
        if (length) response.setHeader('content-length', Buffer.byteLength(body));
        response.end(body);
      };
      expect(await read(await call(upstream))).toBe(result);
      await opener.close();
    }
  });

  it('is held where it is written in an unusual way, or is an error', async () => {
    const upstream = await open();
    answer = (response, id) => response.end(`{"extra":1,"jsonrpc":"2.0","id":${id},"result":${result}}`);
    expect(await call(upstream)).toMatchObject({ resultText: result });
    const message = 'x'.repeat(10_000);
    answer = (response, id) => response.end(JSON.stringify({ jsonrpc: '2.0', id, error: { code: 1, message } }));
    expect(await call(upstream)).toEqual({ error: { code: 1, message } });
  });

  it('is held where it is small', async () => {
    const upstream = await open();
    answer = (response, id) => response.end(`{"jsonrpc":"2.0","id":${id},"result":{"a":"${'x'.repeat(3_000)}"}}`);
    expect(await call(upstream)).toMatchObject({ result: { a: expect.any(String) } });
  });

  it.each([
    ['the reply to another request', (_id: number) => `{"jsonrpc":"2.0","id":987654,"result":${result}}`],
    ['the reply to another request, told last', (_id: number) => `{"result":${result},"jsonrpc":"2.0","id":987654}`],
    ['a second result', (id: number) => `{"jsonrpc":"2.0","id":${id},"result":${result},"result":{}}`],
    [
      'an error besides',
      (id: number) => `{"jsonrpc":"2.0","id":${id},"result":${result},"error":{"code":1,"message":"x"}}`,
    ],
    ['a comma too many', (id: number) => `{"jsonrpc":"2.0","id":${id},"result":${result},}`],
    ['a second message', (id: number) => `{"jsonrpc":"2.0","id":${id},"result":${result}}{}`],
    ['an id twice', (id: number) => `{"id":1,"id":${id},"result":${result}}`],
    ['no end', (id: number) => `{"jsonrpc":"2.0","id":${id},"result":${result.slice(0, -1)}`],
    ['no end of its envelope', (id: number) => `{"jsonrpc":"2.0","id":${id},"result":${result}`],
    ['a long tail', (id: number) => `{"jsonrpc":"2.0","id":${id},"result":${result}${' '.repeat(2_000)}}`],
    ['another shape', (id: number) => `{"jsonrpc":"2.0","id":${id},"result":${result.replace('[', '{')}}`],
    [
      'input required',
      (id: number) => `{"jsonrpc":"2.0","id":${id},"result":${result.replace('{', '{"resultType":"input_required",')}}`,
    ],
    ['more than is allowed', (id: number) => `{"jsonrpc":"2.0","id":${id},"result":{"a":"${'x'.repeat(200_000)}"}}`],
  ])('I1, D4: is broken off with %s', async (_what, write) => {
    const upstream = await open({ maxStreamedBytes: 100_000 });
    answer = (response, id) => response.end(write(id));
    await expect(call(upstream).then(read)).rejects.toMatchObject({ code: 'ERR_CONNECTOR_PROTOCOL' });
    answer = (response, id) => response.end(`{"jsonrpc":"2.0","id":${id},"result":{}}`);
    expect(await call(upstream)).toMatchObject({ result: {} });
  });

  /** Writes a result of `megabytes`, as fast as it is taken; says how much was. */
  function pour(megabytes: number): () => number {
    let written = 0;
    const piece = Buffer.alloc(64 * 1024, 120);
    answer = (response, id) => {
      response.write(`{"jsonrpc":"2.0","id":${id},"result":{"a":"`);
      const more = (): void => {
        while (written < megabytes * 1024 * 1024) {
          written += piece.length;
          if (!response.write(piece)) {
            response.once('drain', more);
            return;
          }
        }
        response.end('"}}');
      };
      more();
    };
    return () => written;
  }

  it('fault 29: waits for a slow reader, all the way to the server', async () => {
    const upstream = await open();
    const written = pour(64);
    const reply = await call(upstream);
    const iterator = chunksOf(reply)[Symbol.asyncIterator]();
    await iterator.next();
    let stalled = -1;
    while (stalled !== written()) {
      stalled = written();
      await new Promise((resolve) => setTimeout(resolve, 300));
    }
    expect(stalled).toBeLessThan(32 * 1024 * 1024); // what the kernel's buffers take
    let size = 0;
    for (let next = await iterator.next(); !next.done; next = await iterator.next()) size += next.value.length;
    expect(size).toBeGreaterThan(63 * 1024 * 1024);
  });

  it('never holds what it passes: 10 MB, eight at a time', async () => {
    const upstream = await open({ largeBytes: 256 * 1024 });
    const piece = Buffer.alloc(64 * 1024, 120);
    answer = (response, id) => {
      response.write(`{"jsonrpc":"2.0","id":${id},"result":{"a":"`);
      let left = 160;
      const more = (): void => {
        while (left > 0) {
          left -= 1;
          if (!response.write(piece)) {
            response.once('drain', more);
            return;
          }
        }
        response.end('"}}');
      };
      more();
    };
    const before = process.memoryUsage();
    let most = 0;
    await Promise.all(
      Array.from({ length: 8 }, async () => {
        let size = 0;
        for await (const chunk of chunksOf(await call(upstream))) {
          size += chunk.length;
          const { arrayBuffers } = process.memoryUsage();
          most = Math.max(most, arrayBuffers - before.arrayBuffers);
          await new Promise((resolve) => setImmediate(resolve));
        }
        expect(size).toBe(10 * 1024 * 1024 + '{"a":""}'.length);
      }),
    );
    // Server and client share this process, and the collector takes its time, more of it beside other work; held whole it would be 80 MB a side.
    expect(most).toBeLessThan(80 * 1024 * 1024);
  });

  it('I1: pieces that were given back become others of the same reader and of others, and never while somebody has them', async () => {
    const upstream = await open({ largeBytes: 64 * 1024 });
    answer = (response, id) => {
      // Each reply of letters of its own.
      const text = String.fromCharCode(97 + (id % 26)).repeat(3 * 1024 * 1024);
      const body = `{"jsonrpc":"2.0","id":${id},"result":{"a":"${text}"}}`;
      if (id % 2 === 0) response.setHeader('content-length', body.length);
      response.end(body);
    };
    const buffers = new Set<ArrayBufferLike>();
    let count = 0;
    const readAtItsPace = async (everyTurn: number): Promise<void> => {
      const reply = await call(upstream);
      const text: string[] = [];
      const held: Buffer[] = [];
      const giveBack = (piece: Buffer): void => {
        text.push(piece.toString('latin1'));
        if ('resultChunks' in reply) reply.release?.(piece);
      };
      for await (const chunk of chunksOf(reply)) {
        count += 1;
        buffers.add(chunk.buffer);
        held.push(chunk);
        if (held.length > everyTurn) giveBack(held.shift() as Buffer);
        for (let turn = 0; turn < everyTurn; turn += 1) await new Promise((resolve) => setImmediate(resolve));
      }
      for (const piece of held) giveBack(piece);
      const { a } = JSON.parse(text.join('')) as { a: string };
      expect(a.length).toBe(3 * 1024 * 1024);
      expect(a).toBe((a[0] as string).repeat(a.length));
    };
    for (let round = 0; round < 3; round += 1) await Promise.all([0, 1, 2, 3, 4, 5].map(readAtItsPace));
    // They really are used again.
    expect(buffers.size).toBeLessThan(count / 2);
  });

  it('V2: ends the exchange when its reader leaves early, and when the call is cancelled', async () => {
    const upstream = await open();
    const cancellation = new Cancellation();
    const closed: string[] = [];
    const held = (name: string): void => {
      answer = (response, id) => {
        response.on('close', () => closed.push(name));
        response.write(`{"jsonrpc":"2.0","id":${id},"result":{"a":"${'x'.repeat(10_000)}`);
      };
    };
    held('left');
    for await (const chunk of chunksOf(await call(upstream))) {
      expect(chunk.length).toBeGreaterThan(0);
      break;
    }
    await expect.poll(() => closed).toEqual(['left']);
    held('cancelled');
    const reply = await call(upstream, 5_000, cancellation);
    const reading = read(reply);
    cancellation.cancel('the task has ended');
    await expect(reading).rejects.toThrow('the task has ended');
    await expect.poll(() => closed).toEqual(['left', 'cancelled']);
  });

  it('fault 27: gives it up when nothing more comes, and not while something does', async () => {
    const upstream = await open();
    let count = 0;
    answer = (response, id) => {
      response.write(`{"jsonrpc":"2.0","id":${id},"result":{"a":"${'x'.repeat(10_000)}`);
      const more = (): void => {
        count += 1;
        response.write('y'.repeat(10));
        if (count < 6) setTimeout(more, 200);
      };
      more();
    };
    await expect(call(upstream, 400).then(read)).rejects.toMatchObject({ code: 'ERR_CONNECTOR_TIMEOUT' });
    expect(count).toBe(6);
  });

  it('fails in its reader when the connection breaks', async () => {
    const upstream = await open();
    answer = (response, id) =>
      void response.write(`{"jsonrpc":"2.0","id":${id},"result":{"a":"${'x'.repeat(10_000)}`, () =>
        setTimeout(() => response.socket?.destroy(), 20),
      );
    await expect(call(upstream).then(read)).rejects.toMatchObject({ code: 'ERR_CONNECTOR_UNREACHABLE' });
  });
});
