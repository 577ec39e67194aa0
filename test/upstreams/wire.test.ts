import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { modernMeta, onOneLine, paramsText, readMessage, requestText } from '../../src/adapters/upstreams/json-rpc.ts';
import { LineReader } from '../../src/adapters/upstreams/line-reader.ts';
import { createRedactor } from '../../src/adapters/upstreams/redaction.ts';
import { SseReader } from '../../src/adapters/upstreams/sse-reader.ts';
import { TextTail } from '../../src/adapters/upstreams/text-tail.ts';
import { Secret } from '../../src/domain/secret.ts';

const jsonObject = fc.dictionary(fc.string(), fc.jsonValue());

/** Cuts bytes at the given places, as a network would. */
function cut(bytes: Buffer, places: readonly number[]): Buffer[] {
  const ends = [...new Set(places.map((place) => place % (bytes.length + 1)))].sort((a, b) => a - b);
  return [...ends, bytes.length].map((end, index) => bytes.subarray(ends[index - 1] ?? 0, end));
}

describe('readMessage', () => {
  it('reads a result in either order, and gives its very text', () => {
    fc.assert(
      fc.property(jsonObject, fc.nat(), fc.constantFrom(0, 1, 2), (result, id, indent) => {
        const text = JSON.stringify(result, null, indent);
        const parsed = JSON.parse(text) as object;
        for (const whole of [
          `{"jsonrpc":"2.0","id":${id},"result":${text}}`,
          `{"result":${text},"jsonrpc":"2.0","id":${id}}`,
        ]) {
          expect(readMessage(whole)).toEqual({ kind: 'reply', id, reply: { result: parsed, resultText: text } });
        }
      }),
    );
  });

  it.each([
    '{"jsonrpc":"2.0","id":1,"result":{"a":1},"result":{"b":2}}',
    '{"result":{"a":1},"result":{"b":2},"jsonrpc":"2.0","id":1}',
    '{"jsonrpc":"2.0","id":1,"result":{"a":1},"r\\u0065sult":{"b":2}}',
    '{"jsonrpc":"2.0","id":1,"result":{"a":"},"},"x":1,"result":{"b":2}}',
  ])('D4 lets text and value of a result never differ: %s', (text) => {
    expect(readMessage(text)).toEqual({ kind: 'reply', id: 1, reply: { result: { b: 2 }, resultText: '{"b":2}' } });
  });

  it('refuses a result that is nested too deep to be written again, wherever it is cut', () => {
    const deep = `${'['.repeat(100_000)}${']'.repeat(100_000)}`;
    const message = readMessage(`{"id":1,"jsonrpc":"2.0","result":{"deep":${deep}}}`);
    expect(['malformed_reply', 'garbage']).toContain(message.kind);
  });

  it.each([
    ['{"jsonrpc":"2.0","method":"notifications/x"}', 'notification'],
    ['{"jsonrpc":"2.0","id":"a","method":"ping"}', 'request'],
    ['{"jsonrpc":"2.0","id":null,"method":"ping"}', 'garbage'],
    ['{"jsonrpc":"2.0","method":"notifications/x","params":[1]}', 'garbage'],
    ['{"jsonrpc":"2.0","id":null,"error":{"code":-32700,"message":"x"}}', 'orphan_error'],
    ['{"jsonrpc":"2.0","error":{"code":-32700,"message":"x"}}', 'orphan_error'],
    ['{"jsonrpc":"2.0","id":"1","error":{"code":-32700,"message":"x"}}', 'garbage'],
    ['{"jsonrpc":"2.0","id":{},"method":"ping"}', 'garbage'],
    ['{"jsonrpc":"2.0","id":"1","result":{}}', 'garbage'],
    ['{"id":1,"result":{}}', 'garbage'],
    ['null', 'garbage'],
    ['[{"jsonrpc":"2.0","id":1,"result":{}}]', 'garbage'],
    ['', 'garbage'],
  ])('takes %s for a %s', (text, kind) => {
    expect(readMessage(text).kind).toBe(kind);
  });
});

describe('what is said outside replies', () => {
  it('keeps the params of notifications and requests', () => {
    const params = { a: [1], _meta: {} };
    const text = (more: object): string => JSON.stringify({ jsonrpc: '2.0', method: 'm', params, ...more });
    expect(readMessage(text({}))).toEqual({ kind: 'notification', method: 'm', params });
    expect(readMessage(text({ id: 'x' }))).toEqual({ kind: 'request', id: 'x', method: 'm', params });
    expect(readMessage('{"jsonrpc":"2.0","method":"m"}')).toEqual({ kind: 'notification', method: 'm', params: {} });
  });

  it('fault 36: refuses params that are nested too deep to be written again', () => {
    const deep = `${'['.repeat(20_000)}${']'.repeat(20_000)}`;
    expect(readMessage(`{"jsonrpc":"2.0","method":"m","params":{"deep":${deep}}}`).kind).toBe('garbage');
  });
});

describe('paramsText', () => {
  const members = fc.dictionary(fc.string(), fc.jsonValue()).map((value) => {
    const { _meta, ...rest } = value;
    return rest;
  });

  it('holds the members of a call and of its envelope, and nothing else', () => {
    fc.assert(
      fc.property(
        members,
        members,
        fc.option(fc.string(), { nil: undefined }),
        fc.boolean(),
        (own, meta, token, isModern) => {
          const inner = (value: object): string => JSON.stringify(value).slice(1, -1);
          const eraMeta = isModern ? modernMeta({ name: 'n', version: 'v' }, { roots: {} }) : '';
          const text = paramsText(
            { params: inner(own), meta: inner(meta), progressToken: token, logLevel: 'info' },
            eraMeta,
          );
          const envelope = {
            ...(JSON.parse(`{${inner(meta)}}`) as object),
            ...(isModern
              ? {
                  'io.modelcontextprotocol/protocolVersion': '2026-07-28',
                  'io.modelcontextprotocol/clientInfo': { name: 'n', version: 'v' },
                  'io.modelcontextprotocol/clientCapabilities': { roots: {} },
                  'io.modelcontextprotocol/logLevel': 'info',
                }
              : {}),
            ...(token === undefined ? {} : { progressToken: token }),
          };
          const expected = { ...(JSON.parse(`{${inner(own)}}`) as object) };
          if (Object.keys(envelope).length > 0) Object.assign(expected, { _meta: envelope });
          expect(JSON.parse(text)).toEqual(expected);
        },
      ),
    );
  });
});

describe('onOneLine', () => {
  it('D4 keeps the value and leaves no line break of any reader', () => {
    const breaks = fc.stringMatching(/^[\n\r\u0085\u2028\u2029"\\{}a]*$/);
    fc.assert(
      fc.property(fc.dictionary(breaks, breaks), fc.constantFrom(0, 2), (value, indent) => {
        const line = onOneLine(requestText(1, 'm', JSON.stringify(value, null, indent).replaceAll('\n', '\r\n')));
        expect(line).not.toMatch(/[\n\r\u0085\u2028\u2029]/);
        expect(JSON.parse(line)).toEqual({
          jsonrpc: '2.0',
          id: 1,
          method: 'm',
          params: JSON.parse(JSON.stringify(value)),
        });
      }),
    );
  });

  it('sends everything else byte for byte', () => {
    const params = '{"a" : 1.0, "b":"\\u0061é😀"}';
    expect(onOneLine(params)).toBe(params);
  });
});

describe('LineReader', () => {
  it('finds the same lines however the bytes are cut', () => {
    const line = fc.string({ unit: 'grapheme' }).map((text) => text.replace(/[\r\n]/g, ''));
    fc.assert(
      fc.property(fc.array(line), fc.array(fc.nat()), fc.constantFrom('\n', '\r\n'), (lines, places, end) => {
        const found: string[] = [];
        const reader = new LineReader({
          maxBytes: 10_000,
          onLine: (text) => found.push(text),
          onOverflow: () => found.push('over'),
        });
        for (const chunk of cut(Buffer.from(lines.map((text) => text + end).join('')), places)) reader.push(chunk);
        expect(found).toEqual(lines);
      }),
    );
  });

  it('reads a line that drips in byte by byte', () => {
    const found: string[] = [];
    const reader = new LineReader({
      maxBytes: 5_000,
      onLine: (text) => found.push(text),
      onOverflow: () => found.push('over'),
    });
    for (let count = 0; count < 5_000; count += 1) reader.push(Buffer.from('a'));
    reader.push(Buffer.from('\n'));
    expect(found).toEqual(['a'.repeat(5_000)]);
  });

  it.each([[['abcdef\nx\n']], [['abc', 'def', '\nx\n']], [['abc', 'defghi']]])(
    'stops once at a line too long: %j',
    (chunks) => {
      const found: string[] = [];
      const reader = new LineReader({
        maxBytes: 5,
        onLine: (text) => found.push(text),
        onOverflow: () => found.push('over'),
      });
      for (const chunk of [...chunks, 'more\n']) reader.push(Buffer.from(chunk));
      expect(found).toEqual(['over']);
    },
  );
});

describe('SseReader', () => {
  function read(chunks: Buffer[], maxBytes = 1_000): string[] {
    const found: string[] = [];
    const reader = new SseReader({
      maxBytes,
      onMessage: (data) => found.push(data),
      onOverflow: () => found.push('over'),
    });
    for (const chunk of chunks) reader.push(chunk);
    return found;
  }

  const STREAM =
    'id: 1\ndata:\n\n: note\nevent: message\r\ndata: {"é":1}\r\n\r\nevent: other\ndata: no\n\ndata:{"a":\ndata: 2}\n\nretry: 5\n\ndata: {"cut":';

  it('finds the same events however the bytes are cut', () => {
    fc.assert(
      fc.property(fc.array(fc.nat()), (places) => {
        expect(read(cut(Buffer.from(STREAM), places))).toEqual(['{"é":1}', '{"a":\n2}']);
      }),
    );
  });

  it('finds the same events whole and byte by byte, whatever a server writes', () => {
    const line = fc.constantFrom(
      'data: a',
      'data: b',
      'data:c',
      'data:  d',
      'data: ',
      'data',
      'event: message',
      'event: other',
      'id: 1',
      ': x',
      '',
    );
    const end = fc.constantFrom('\n', '\n', '\n\n', '\n\n', '\r\n', '\r');
    let events = 0;
    fc.assert(
      fc.property(fc.array(fc.tuple(line, end), { maxLength: 12 }), (lines) => {
        const bytes = Buffer.from(`${lines.flat().join('')}\n`);
        const whole = read([bytes]);
        events += whole.length;
        expect(whole).toEqual(read(Array.from(bytes, (_, at) => bytes.subarray(at, at + 1))));
      }),
      { numRuns: 2_000 },
    );
    expect(events).toBeGreaterThan(1_000);
  });

  it('takes a lone carriage return for the end of a line', () => {
    expect(read([Buffer.from('data: {"a":1}\r\rdata: {"b":2}\r\r\n')])).toEqual(['{"a":1}', '{"b":2}']);
  });

  it('keeps the last event id and the time to wait, from events without data too', () => {
    const reader = new SseReader({ maxBytes: 1_000, onMessage: () => {}, onOverflow: () => {} });
    reader.push(Buffer.from('id: 1\ndata: {}\n\nid: 2\nretry: 40\ndata:\n\nid: 3\n'));
    expect([reader.lastEventId, reader.retryMs]).toEqual(['2', 40]);
    reader.push(Buffer.from('\nid: two\u0000lines\n\n'));
    expect(reader.lastEventId).toBeUndefined();
  });

  it('gives events of other types apart', () => {
    const found: unknown[] = [];
    const reader = new SseReader({
      maxBytes: 1_000,
      onMessage: (data) => found.push(data),
      onOther: (type, data) => found.push([type, data]),
      onOverflow: () => {},
    });
    reader.push(Buffer.from('event: endpoint\ndata: /post?a=1\n\ndata: {}\n\n'));
    expect(found).toEqual([['endpoint', '/post?a=1'], '{}']);
  });

  it('bounds an event, as one line and as many', () => {
    expect(read([Buffer.from(`data: ${'x'.repeat(2_000)}`)])).toEqual(['over']);
    expect(read([Buffer.from('data: xxxxxxxxxx\n'.repeat(200))])).toEqual(['over']);
    expect(read([Buffer.from(`data: x\n\ndata: ${'x'.repeat(2_000)}\n\ndata: y\n\n`)])).toEqual(['x', 'over']);
  });
});

describe('TextTail', () => {
  const SECRET = 'pass"word/+é-1234567890';
  const redactor = createRedactor({
    environment: { A: new Secret(SECRET) },
    headers: { B: new Secret('Bearer token-abcdef') },
  });

  function tailOf(text: string, maxBytes = 100): string {
    const tail = new TextTail(redactor, maxBytes);
    for (const chunk of cut(Buffer.from(text), [7, 50, 51])) tail.push(chunk);
    return tail.read();
  }

  it.each([
    SECRET,
    JSON.stringify(SECRET).slice(1, -1),
    encodeURIComponent(SECRET),
    Buffer.from(SECRET).toString('base64'),
    'Bearer token-abcdef',
    'token-abcdef',
  ])('L6 takes %s out', (form) => {
    expect(tailOf(`so ${form} it is`)).toBe('so [secret] it is');
  });

  it('L6 shows no part of a secret that the bounds cut', () => {
    const parts = Array.from({ length: SECRET.length - 3 }, (_, index) => SECRET.slice(index, index + 4));
    for (let before = 0; before < 200; before += 1) {
      const shown = tailOf(`${'-'.repeat(300)}${SECRET}${'.'.repeat(before)}`);
      for (const part of parts) expect(shown).not.toContain(part);
    }
    for (let size = 4; size <= SECRET.length; size += 1) {
      const shown = tailOf(`it is ${SECRET.slice(0, size)}`);
      for (const part of parts) expect(shown).not.toContain(part);
    }
  });

  it('L6 shows nothing where a secret is too short to be found', () => {
    const tail = new TextTail(createRedactor({ environment: { A: new Secret('abc') }, headers: {} }), 100);
    tail.push(Buffer.from('the password abc is wrong'));
    expect(tail.read()).toBe('');
  });

  it('keeps the end of what was written', () => {
    expect(tailOf(`${'x'.repeat(1_000)} the end`, 8)).toBe('the end');
  });
});
