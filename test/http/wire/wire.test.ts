import { afterEach, describe, expect, it } from 'vitest';
import type { HttpResponse } from '../../../src/gateway/edge/client-http.ts';
import { sendAnswer } from '../../../src/gateway/edge/send-answer.ts';
import { SseStream } from '../../../src/gateway/edge/sse-stream.ts';
import type { Schedule } from '../../../src/seams/clock.ts';
import { type EchoServer, startEcho } from './echo-server.ts';
import { openRaw, type RawClient, sayInPieces } from './raw-client.ts';

let echo: EchoServer;
const clients: RawClient[] = [];
const start = async (options: Parameters<typeof startEcho>[0] = {}): Promise<void> => {
  echo = await startEcho(options);
};
const client = async (): Promise<RawClient> => {
  const opened = await openRaw(echo.port);
  clients.push(opened);
  return opened;
};
afterEach(async () => {
  for (const { socket } of clients.splice(0)) socket.destroy();
  await echo.server.close();
});

const post = (body: string, fields = '', version = '1.1'): string =>
  `POST /mcp HTTP/${version}\r\nHost: ${echo.host}\r\n${fields}Content-Length: ${Buffer.byteLength(body)}\r\n\r\n${body}`;
const health = (): string => `GET /healthz HTTP/1.1\r\nHost: ${echo.host}\r\n\r\n`;
const ok = (text: string): number => text.split('HTTP/1.1 200 OK').length - 1;

/** Time that stands still until it is moved. */
function heldTime() {
  const due: { readonly at: number; readonly task: () => void }[] = [];
  let now = 0;
  const schedule: Schedule = (ms, task) => {
    const entry = { at: now + ms, task };
    due.push(entry);
    return () => void due.splice(due.indexOf(entry) >>> 0, 1);
  };
  const pass = (ms: number): void => {
    const until = now + ms;
    for (;;) {
      const next = due.filter(({ at }) => at <= until).sort((a, b) => a.at - b.at)[0];
      if (next === undefined) break;
      due.splice(due.indexOf(next), 1);
      now = next.at;
      next.task();
    }
    now = until;
  };
  return { schedule, pass };
}

describe('who reads', () => {
  it('one request after the other is read from the wire, with its own length, and the first that is not plain makes the connection Node’s', async () => {
    await start();
    const c = await client();
    for (const [at, body] of ['{}', '{"a":1}', '', '{"b":"é"}'].entries()) {
      c.say(post(body));
      const text = await c.hear(new RegExp(`(?:HTTP/1.1 200 OK[\\s\\S]*?){${at + 1}}\\}\\}$`));
      expect(text).toContain(Buffer.from(`"read":${JSON.stringify({ text: body })}`).toString('latin1'));
    }
    expect(echo.taken).toEqual([true, true, true, true]);
    c.say(health());
    await c.hear(/"serving"}/);
    c.say(post('{}'));
    await c.hear(/(?:HTTP\/1.1 200 OK[\s\S]*?){6}\}\}$/);
    expect(echo.taken).toEqual([true, true, true, true, false]);
  });

  it('a head and a body that come one after the other are one request', async () => {
    await start();
    const c = await client();
    const bytes = Buffer.from(post('{"a":1}'));
    await sayInPieces(c, bytes, [bytes.length - 7]);
    await c.hear(/\}\}$/);
    expect(echo.taken).toEqual([true]);
  });

  it('a client that wants the connection ended, and one of HTTP/1.0, are Node’s', async () => {
    await start();
    for (const text of [post('{}', 'Connection: close\r\n'), post('{}', '', '1.0')]) {
      const c = await client();
      c.say(text);
      await c.closed;
      expect(ok(c.heard())).toBe(1);
    }
    expect(echo.taken).toEqual([false, false]);
  });

  it('a head in many pieces is put together by Node, and so is a body of more than 64 KB', async () => {
    await start();
    const c = await client();
    const bytes = Buffer.from(post('x'.repeat(40)));
    await sayInPieces(
      c,
      bytes,
      Array.from({ length: 20 }, (_, at) => bytes.length - 40 + at * 2),
    );
    await c.hear(/\}\}$/);
    const large = await client();
    large.say(post('y'.repeat(200_000)));
    await large.hear(/\}\}$/);
    expect(large.heard().length).toBeGreaterThan(200_000);
    expect(echo.taken.at(-1)).toBe(false);
  });

  it('requests sent at once are answered in their order, each once', async () => {
    await start();
    const c = await client();
    c.say(post('"1"') + post('"2"') + post('"3"'));
    const text = await c.hear(/(?:HTTP\/1.1 200 OK[\s\S]*?){3}\}\}$/);
    expect(text.match(/\\"\d\\"/g)).toEqual(['\\"1\\"', '\\"2\\"', '\\"3\\"']);
  });
});

describe('faults', () => {
  const fault = (): never => {
    throw new Error('on purpose');
  };

  it('D1 an endpoint that fails answers 500, at once or later, and serves the next', async () => {
    let calls = 0;
    await start({
      mcp: (_, response) => {
        calls += 1;
        if (calls === 1) fault();
        if (calls === 2) return Promise.reject(new Error('on purpose'));
        sendAnswer(response, { status: 200, body: '{}' });
      },
    });
    const c = await client();
    for (const [at, status] of [500, 500, 200].entries()) {
      c.say(post('1'));
      await c.hear(new RegExp(`(?:HTTP/1.1 \\d+[\\s\\S]*?){${at}}HTTP/1.1 ${status} [\\s\\S]*\\}$`));
    }
  });

  it('D1 where it cannot be told whose task it is, the request is refused and the process goes on', async () => {
    let served = 0;
    await start({
      mcp: () => {
        served += 1;
      },
      relay: { isHere: fault, byToken: fault, byDetails: fault, retire() {} },
    });
    const c = await client();
    c.say(post('1'));
    expect(await c.hear(/internal_error"}$/)).toMatch(/^HTTP\/1\.1 500 /);
    expect(served).toBe(0);
    c.say(health());
    await c.hear(/"serving"}$/);
  });
});

describe('one under way', () => {
  const held: { response: HttpResponse; answer: () => void }[] = [];
  const holding = (_: unknown, response: HttpResponse): void => {
    held.push({ response, answer: () => sendAnswer(response, { status: 200, body: `{"n":${held.length}}` }) });
  };
  const begun = async (count: number): Promise<void> => {
    while (held.length < count) await new Promise((resolve) => setImmediate(resolve));
  };
  afterEach(() => void held.splice(0));

  it('what is sent meanwhile waits for its answer', async () => {
    await start({ mcp: holding });
    const c = await client();
    c.say(post('1'));
    await begun(1);
    c.say(post('2'));
    await new Promise((resolve) => setImmediate(resolve));
    expect(held).toHaveLength(1);
    held[0]?.answer();
    await begun(2);
    held[1]?.answer();
    expect(ok(await c.hear(/"n":2}$/))).toBe(2);
  });

  it('V2 a client that goes is noticed at once', async () => {
    await start({ mcp: holding });
    const c = await client();
    c.say(post('1'));
    await begun(1);
    const { response } = held[0] as (typeof held)[0];
    const gone = new Promise<void>((resolve) => response.on('close', resolve));
    c.socket.destroy();
    await gone;
    expect(response.destroyed).toBe(true);
    held[0]?.answer();
  });

  it('a stream of events is framed, ends, and leaves the connection usable', async () => {
    await start({ mcp: holding });
    const c = await client();
    c.say(post('1'));
    await begun(1);
    const stream = new SseStream((held[0] as (typeof held)[0]).response);
    stream.write('data: {"é":1}\n\n');
    await c.hear(/Transfer-Encoding: chunked\r\n[\s\S]*\r\n\r\n10\r\ndata: /);
    stream.write('data: 2\n\n', true);
    await c.hear(/9\r\ndata: 2\n\n\r\n$/);
    stream.end();
    await c.hear(/\r\n0\r\n\r\n$/);
    c.say(post('2'));
    await begun(2);
    held[1]?.answer();
    await c.hear(/"n":2}$/);
  });

  it('a response of unknown length is chunked, in pieces of text and of bytes, and waits for a reader', async () => {
    await start({ mcp: holding });
    const c = await client();
    c.say(post('1'));
    await begun(1);
    const { response } = held[0] as (typeof held)[0];
    response.writeHead(200, ['Content-Type', 'text/plain']);
    c.socket.pause();
    const piece = Buffer.alloc(1 << 20, 'a');
    let written = 0;
    do written += 1;
    while (response.write(piece) && written < 100);
    expect(written).toBeLessThan(100);
    const drained = new Promise<void>((resolve) => response.once('drain', resolve));
    c.socket.resume();
    await drained;
    response.end('ende');
    const text = await c.hear(/4\r\nende\r\n0\r\n\r\n$/);
    expect(text.match(/a/g)?.length).toBeGreaterThanOrEqual(written << 20);
  });

  it('a header with a line break in it is never sent', async () => {
    await start({ mcp: holding });
    const c = await client();
    c.say(post('1'));
    await begun(1);
    const { response } = held[0] as (typeof held)[0];
    expect(() => response.writeHead(200, ['X-A', 'a\r\nSet-Cookie: b'])).toThrow(TypeError);
    expect(response.headersSent).toBe(false);
    held[0]?.answer();
    expect(await c.hear(/"n":1}$/)).not.toContain('Set-Cookie');
  });

  it('at a stop the answer that is under way says that the connection ends; those with nothing to do end at once', async () => {
    await start({ mcp: holding });
    const [busy, idle, silent] = [await client(), await client(), await client()];
    idle.say(post('1'));
    await begun(1);
    held[0]?.answer();
    await idle.hear(/}$/);
    busy.say(post('2'));
    await begun(2);
    const closed = echo.server.close();
    await Promise.all([idle.closed, silent.closed]);
    held[1]?.answer();
    await busy.closed;
    expect(busy.heard()).toMatch(/Connection: close\r\n[\s\S]*"n":2}$/);
    await closed;
  });
});

describe('time', () => {
  it('a connection that is silent is closed within half a minute, and not one that is used', async () => {
    const time = heldTime();
    await start({ schedule: time.schedule });
    const [used, silent] = [await client(), await client()];
    used.say(post('1'));
    await used.hear(/}$/);
    time.pass(20_000);
    used.say(post('2'));
    await used.hear(/(?:HTTP\/1.1 200 OK[\s\S]*?){2}\}\}$/);
    time.pass(15_000);
    await silent.closed;
    used.say(post('3'));
    await used.hear(/(?:HTTP\/1.1 200 OK[\s\S]*?){3}\}\}$/);
    time.pass(30_000);
    await used.closed;
  });

  it('I3 half a request is not held here: Node’s server, which measures it, gets it within seconds', async () => {
    const time = heldTime();
    await start({ schedule: time.schedule });
    const c = await client();
    const bytes = post('{"a":1}');
    c.say(bytes.slice(0, -3));
    // As far as the server has it, and no further.
    const other = await client();
    other.say(post('1'));
    await other.hear(/}$/);
    time.pass(5_000);
    c.say(bytes.slice(-3));
    await c.hear(/\}\}$/);
    expect(echo.taken).toEqual([true, false]);
  });
});
