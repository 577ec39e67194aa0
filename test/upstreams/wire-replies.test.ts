import type { Socket } from 'node:net';
import { setImmediate as nextTurn } from 'node:timers/promises';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type FakeWireServer, plainReply, startFakeWireServer } from '../support/fake-wire-server.ts';
import { createExchange, createWirePool, type Outcome, send, sendByLibrary } from '../support/wire-calls.ts';

/** Whatever a server says, what comes of it is what the library makes of it. */
let server: FakeWireServer;
beforeAll(async () => {
  server = await startFakeWireServer();
});
afterAll(() => server.close());

/** Says the pieces one after another, each in a turn of its own, and ends the connection. */
function saying(pieces: readonly string[]) {
  return async (socket: Socket): Promise<void> => {
    for (const piece of pieces) {
      socket.write(piece, 'latin1');
      await nextTurn();
    }
    socket.end();
  };
}

async function byWire(body: string): Promise<Outcome> {
  const pool = createWirePool(server.url);
  const found = await send(pool, body).outcome;
  pool.close();
  return found;
}

async function expectSame(pieces: readonly string[]): Promise<Outcome> {
  server.answer = (socket) => void saying(pieces)(socket);
  const [ours, theirs] = [await byWire('{}'), await sendByLibrary(server.url, '{}')];
  expect(withoutWhy(ours)).toEqual(withoutWhy(theirs));
  return ours;
}

/** What exactly a parser missed is its own word. */
const withoutWhy = (outcome: Outcome): Outcome => ({
  ...outcome,
  ...(outcome.end !== undefined && { end: outcome.end.replace(/ \(.*\)$/, '') }),
});

const latin1 = (text: string): string => Buffer.from(text).toString('latin1');
const json = fc.oneof(
  fc.json({ maxDepth: 2 }),
  fc.string({ unit: 'binary', maxLength: 40 }).map((text) => JSON.stringify(text)),
  fc.constantFrom('', `"${'x'.repeat(1_990)}"`, `"${'x'.repeat(2_500)}"`, `"${'x'.repeat(4_100)}"`),
);
const casing = fc.constantFrom(
  (name: string) => name,
  (name: string) => name.toLowerCase(),
  (name: string) => name.toUpperCase(),
);
const harmless = fc.constantFrom(
  'Date: Sat, 28 Nov 2026 15:00:00 GMT',
  'Connection: keep-alive',
  'Connection: Keep-Alive',
  'Keep-Alive: timeout=5',
  'Keep-Alive: timeout=60, max=100',
  'Mcp-Session-Id: abc',
  'X-Empty:',
  'X-Tight:value',
  'Vary: a, b',
);
/** Lines that are seldom or never seen, and what tricks are made of. */
const odd = fc.constantFrom(
  'Connection: close',
  'Connection: upgrade',
  'Proxy-Connection: close',
  'Upgrade: websocket',
  'Trailer: X-Late',
  'Transfer-Encoding: chunked',
  'Transfer-Encoding: identity',
  'Transfer-Encoding : chunked',
  'Transfer-Encoding: x\r\nTransfer-Encoding: chunked',
  'Content-Encoding: gzip',
  'Content-Length: 2',
  'Content-Length: +5',
  'Content-Length: 05',
  'Content-Length: 5, 5',
  'Content-Length: 0x5',
  'Content-Length: -1',
  'Content-Length:',
  'Content-Length : 5',
  'Content-Length:\t5',
  'Content-Length: 99999999999999999999',
  'Content-Type: text/event-stream',
  'Content-Type: application/json',
  'Content-Type: Application/JSON',
  'Keep-Alive: max=5',
  'Keep-Alive: timeout=x',
  'Keep-Alive: timeout=1',
  'X-Folded: a\r\n b',
  ' Folded: a',
  'X-Nul: a\0b',
  'X-Bell: a\x07b',
  'X-Old: caf\xe9',
  'X-Bare: a\nContent-Length: 3',
  'X-Cr: a\rContent-Length: 3',
  'No colon',
  ': no name',
  'Na me: a',
  'N\xe4me: a',
  `X-Long: ${'x'.repeat(9_000)}`,
  `X-Too-Long: ${'x'.repeat(20_000)}`,
);
const statusLine = fc.oneof(
  { weight: 8, arbitrary: fc.constant('HTTP/1.1 200 OK') },
  {
    weight: 3,
    arbitrary: fc.constantFrom(
      'HTTP/1.1 200 ',
      'HTTP/1.1 200',
      'HTTP/1.0 200 OK',
      'HTTP/2.0 200 OK',
      'HTTP/1.1  200 OK',
      'http/1.1 200 OK',
      'HTTP/1.1 201 Created',
      'HTTP/1.1 202 Accepted',
      'HTTP/1.1 204 No Content',
      'HTTP/1.1 304 Not Modified',
      'HTTP/1.1 404 Not Found',
      'HTTP/1.1 500 Oh',
      'HTTP/1.1 200 caf\xe9',
      'HTTP/1.1 2000 OK',
      'HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK',
      'HTTP/1.1 103 Early Hints\r\nLink: a\r\n\r\nHTTP/1.1 200 OK',
      'HTTP/1.1 101 Switching Protocols',
      '\r\nHTTP/1.1 200 OK',
      'garbage',
    ),
  },
);

/** Bytes as one character each, and where they are cut. */
const reply = fc
  .record({
    statusLine,
    body: json.map(latin1),
    type: fc.constantFrom('application/json', 'application/json; charset=utf-8', 'text/plain', 'text/event-stream'),
    framing: fc.constantFrom('length', 'length', 'length', 'chunked', 'none', 'short', 'long'),
    lines: fc.array(harmless, { maxLength: 4 }),
    odd: fc.option(odd, { freq: 2 }),
    oddAt: fc.nat(6),
    casing,
    lineEnd: fc.oneof({ weight: 12, arbitrary: fc.constant('\r\n') }, fc.constantFrom('\n', '\r', '\r\r\n')),
    surplus: fc.option(fc.constantFrom('x', '\r\n', plainReply('{"evil":1}')), { freq: 4, nil: '' }),
  })
  .map((made) => {
    const isStream = made.type === 'text/event-stream';
    const body = isStream ? `: hello\n\ndata: ${made.body}\n\nevent: message\ndata: {}\n\n` : made.body;
    const lengths = { length: 0, short: -1, long: 3 } as Record<string, number>;
    const lines = [made.casing('Content-Type').concat(`: ${made.type}`), ...made.lines];
    if (made.framing in lengths)
      lines.push(`${made.casing('Content-Length')}: ${Math.max(0, body.length + (lengths[made.framing] as number))}`);
    if (made.framing === 'chunked') lines.push('Transfer-Encoding: chunked');
    if (made.odd !== null) lines.splice(made.oddAt % (lines.length + 1), 0, made.odd);
    const framed = made.framing !== 'chunked' ? body : `${chunkOf(body.slice(0, 7))}${chunkOf(body.slice(7))}0\r\n\r\n`;
    return `${[made.statusLine, ...lines].join(made.lineEnd)}${made.lineEnd}${made.lineEnd}${framed}${made.surplus}`;
  });

const chunkOf = (text: string): string => (text === '' ? '' : `${text.length.toString(16)}\r\n${text}\r\n`);

const STREAM = 'HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n';
const sizeOf = fc.constantFrom(
  (size: number) => size.toString(16),
  (size: number) => size.toString(16).toUpperCase(),
  (size: number) => `00${size.toString(16)}`,
);
const chunkedStream = fc
  .record({
    events: fc.array(
      fc.oneof(
        fc.string({ maxLength: 30 }).map((text) => latin1(`data: ${JSON.stringify(text)}\n\n`)),
        fc.constantFrom(': quiet\n\n', 'id: 5\nevent: message\ndata: {}\r\n\r\n', 'event: other\ndata: x\n\n'),
      ),
      { maxLength: 6 },
    ),
    splits: fc.array(fc.nat(60), { maxLength: 3 }),
    sizeOf,
    trick: fc.option(
      fc.constantFrom('extension', 'trailer', 'short', 'long', 'bare', 'sign', 'huge', 'none', 'unended', 'space'),
      { freq: 2 },
    ),
    trickAt: fc.nat(8),
  })
  .map(({ events, splits, sizeOf: size, trick, trickAt }) => {
    const whole = events.join('');
    const pieces = splits.length === 0 ? events : cut(whole, splits);
    const chunks = pieces.map((piece, at) => {
      const text = `${size(piece.length)}\r\n${piece}\r\n`;
      if (at !== trickAt % pieces.length) return text;
      switch (trick) {
        case 'extension':
          return `${size(piece.length)};a=b\r\n${piece}\r\n`;
        case 'short':
          return `${size(piece.length + 1)}\r\n${piece}\r\n`;
        case 'long':
          return `${size(Math.max(1, piece.length - 1))}\r\n${piece}\r\n`;
        case 'bare':
          return `${size(piece.length)}\n${piece}\n`;
        case 'sign':
          return `+${size(piece.length)}\r\n${piece}\r\n`;
        case 'huge':
          return `fffffffffffffffff\r\n${piece}\r\n`;
        case 'none':
          return `\r\n${piece}\r\n`;
        case 'space':
          return `${size(piece.length)} \r\n${piece}\r\n`;
        default:
          return text;
      }
    });
    const last = trick === 'trailer' ? '0\r\nX-Late: a\r\n\r\n' : trick === 'unended' ? '' : '0\r\n\r\n';
    return { text: STREAM + chunks.join('') + last, isPlain: trick === null };
  });

const cut = (text: string, places: readonly number[]): string[] => {
  const at = [...new Set(places.map((place) => place % (text.length + 1)))].sort((a, b) => a - b);
  return [0, ...at].map((from, index) => text.slice(from, at[index])).filter((piece) => piece !== '');
};

describe('a reply over a socket of our own', () => {
  it('comes to what the library makes of it, whatever it is and however it is cut', {
    timeout: 60_000,
  }, async () => {
    let plain = 0;
    await fc.assert(
      fc.asyncProperty(reply, fc.array(fc.nat(700), { maxLength: 4 }), async (text, places) => {
        const { end } = await expectSame(cut(text, places));
        if (end === 'body') plain += 1;
      }),
      { numRuns: 400 },
    );
    expect(plain).toBeGreaterThan(50);
  });

  it('reads an event stream in chunks, and leaves to the library what is odd in one, whatever came before', {
    timeout: 60_000,
  }, async () => {
    let plain = 0;
    await fc.assert(
      fc.asyncProperty(chunkedStream, fc.array(fc.nat(700), { maxLength: 5 }), async ({ text, isPlain }, places) => {
        const { end, messages } = await expectSame(cut(text, places));
        if (isPlain) expect(end).toBe('stream');
        if (isPlain && messages.length > 1) plain += 1;
      }),
      { numRuns: 300 },
    );
    expect(plain).toBeGreaterThan(50);
  });

  it.each([
    ['an event stream', 'text/event-stream', 'data: {"a":1}\n\n', { end: 'stream', messages: ['{"a":1}'] }],
    ['JSON in chunks', 'application/json', '{"a":1}', { end: 'body', body: '{"a":1}' }],
  ])('keeps the connection of %s for the next call, and asks for no detour', async (_what, type, body, expected) => {
    const pool = createWirePool(server.url);
    let connections = 0;
    server.answer = (socket) => {
      connections += socket.listenerCount('counted') === 0 ? 1 : 0;
      socket.on('counted', () => {});
      socket.write(`${STREAM.replace('text/event-stream', type)}${chunkOf(body)}0\r\n\r\n`);
    };
    for (let call = 0; call < 3; call += 1) {
      expect(await send(pool, '{}').outcome).toMatchObject(expected);
      await nextTurn();
      await nextTurn();
    }
    expect(connections).toBe(1);
    expect(pool.takesNext()).toBe(true);
    pool.close();
  });

  it('what a sink does not take yet is not read from the socket', async () => {
    const pool = createWirePool(server.url);
    const call = createExchange();
    call.exchange.pause();
    const written = new Promise<number>((resolve) => {
      server.answer = (socket) => {
        const piece = chunkOf(`data: ${'x'.repeat(1_000)}\n\n`);
        socket.write(STREAM);
        let bytes = 0;
        while (socket.write(piece.repeat(100))) bytes += piece.length * 100;
        const more = (): void => {
          if (bytes > 64 * 1024 * 1024 || socket.writableLength > 16 * 1024 * 1024) {
            resolve(bytes);
            return;
          }
          socket.write(piece.repeat(100));
          bytes += piece.length * 100;
          setImmediate(more);
        };
        more();
      };
    });
    send(pool, '{}', call);
    // It is stuck at what sockets hold, long before it has said all that it would.
    expect(await written).toBeLessThan(48 * 1024 * 1024);
    call.exchange.abort(new Error('enough'));
    await call.outcome;
    pool.close();
  });

  it('I1 what has come of one stream is not what comes of another, though both are read into the same memory', async () => {
    const pool = createWirePool(server.url);
    const sockets: Socket[] = [];
    server.answer = (socket) => {
      sockets.push(socket);
      socket.write(STREAM, 'latin1');
    };
    const calls = [send(pool, '1'), send(pool, '2'), send(pool, '3')];
    while (sockets.length < 3) await nextTurn();
    const letters = ['a', 'b', 'c'];
    for (let n = 0; n < 12; n += 1) {
      for (const [at, socket] of sockets.entries()) {
        const event = `data: "${(letters[at] as string).repeat(50 + n)}"\n\n`;
        const half = 1 + ((n * 7) % (event.length - 2));
        // Half of an event, and of a chunk; the rest comes after the halves of the others.
        socket.write(n % 2 === 0 ? chunkOf(event.slice(0, half)) : chunkOf(event).slice(0, half + 4), 'latin1');
      }
      for (let turn = 0; turn < 3; turn += 1) await nextTurn();
      for (const [at, socket] of sockets.entries()) {
        const event = `data: "${(letters[at] as string).repeat(50 + n)}"\n\n`;
        const half = 1 + ((n * 7) % (event.length - 2));
        socket.write(n % 2 === 0 ? chunkOf(event.slice(half)) : chunkOf(event).slice(half + 4), 'latin1');
      }
      for (let turn = 0; turn < 3; turn += 1) await nextTurn();
    }
    for (const socket of sockets) socket.write('0\r\n\r\n');
    const outcomes = await Promise.all(calls.map(({ outcome }) => outcome));
    const found = outcomes.map(({ messages }) => messages).sort();
    expect(found).toEqual(letters.map((letter) => Array.from({ length: 12 }, (_, n) => `"${letter.repeat(50 + n)}"`)));
    pool.close();
  });

  it('a reply that is too large to hold leaves its connection, and the calls that follow, where they are', async () => {
    const pool = createWirePool(server.url);
    const connections = server.sockets.length;
    const body = JSON.stringify('x'.repeat(3_000));
    server.answer = (socket) => socket.write(plainReply(body));
    expect(await send(pool, '{}').outcome).toMatchObject({ end: 'body', body });
    server.answer = (socket) =>
      void saying([
        'HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n',
        chunkOf(body.slice(0, 1_500)),
        chunkOf(body.slice(1_500)),
        '0\r\n\r\n',
      ])(socket);
    expect(await send(pool, '{}').outcome).toMatchObject({ end: 'body', body });
    expect(pool.takesNext()).toBe(true);
    expect(server.sockets.length).toBe(connections + 1);
    pool.close();
  });

  it('a stream in small pieces is read once in a while, and nothing of it comes late that has come', async () => {
    const timers: (() => void)[] = [];
    const pool = createWirePool(server.url, {
      schedule: (ms, task) => {
        if (ms < 100) timers.push(task);
        return () => {};
      },
    });
    let socket: Socket | undefined;
    server.answer = (its) => {
      socket = its;
      its.write(STREAM, 'latin1');
    };
    const call = send(pool, '{}');
    const messages: string[] = [];
    call.exchange.sink.onMessage = (data) => void messages.push(data);
    while (socket === undefined) await nextTurn();
    for (let n = 0; n < 20; n += 1) {
      socket.write(chunkOf(`data: ${n}\n\n`));
      for (let turn = 0; turn < 5; turn += 1) await nextTurn();
    }
    // The first few at once, then none, until the moment is over: then all.
    expect(messages.length).toBe(3);
    expect(timers.length).toBe(1);
    timers.pop()?.();
    while (messages.length < 20) await nextTurn();
    expect(messages).toEqual(Array.from({ length: 20 }, (_, n) => `${n}`));
    call.exchange.abort(new Error('enough'));
    expect(await call.outcome).toMatchObject({ end: 'enough' });
    timers.pop()?.();
    pool.close();
  });

  it.each([
    [
      'a character in two pieces',
      ['HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 4\r\n\r\n"\xc3', '\xa4"'],
    ],
    ['a body piece by piece', [plainReply('').replace('Length: 0', 'Length: 9'), '"a', 'bc', 'def', '"x']],
    ['a head in two pieces', ['HTTP/1.1 200 OK\r\nContent-Type: applica', 'tion/json\r\nContent-Length: 2\r\n\r\n{}']],
    ['an end within the body', [plainReply('{}').replace('Length: 2', 'Length: 20')]],
    ['no reply at all', ['']],
    [
      'a body up to the end of the connection',
      ['HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n\r\n', '{"a"', ':1}'],
    ],
    ['an event stream', ['HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n', 'data: {}\n', '\ndata: []\n\n']],
  ])('reads %s as the library does', async (_what, pieces) => {
    await expectSame(pieces);
  });

  it.each([
    ['two lengths', 'Content-Length: 2\r\nContent-Length: 3'],
    ['a length and chunks', 'Transfer-Encoding: chunked\r\nContent-Length: 2'],
    ['a length with a sign', 'Content-Length: +2'],
    ['a length behind a line that is folded', 'X: a\r\n Content-Length: 2'],
    ['a line end without its CR', 'X: a\nContent-Length: 2'],
    ['NUL', 'X: a\0\r\nContent-Length: 2'],
    ['a space before the colon', 'Content-Length : 2'],
  ])('I1 leaves a head with %s to the library', async (_what, lines) => {
    const pool = createWirePool(server.url);
    server.answer = (socket) =>
      void saying([`HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n${lines}\r\n\r\n{}`])(socket);
    await send(pool, '{}').outcome;
    expect(pool.takesNext()).toBe(false);
    pool.close();
    await expectSame([`HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n${lines}\r\n\r\n{}`]);
  });
});
