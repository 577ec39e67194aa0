import fc from 'fast-check';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { type EchoServer, startEcho } from './echo-server.ts';
import { openRaw, sayInPieces } from './raw-client.ts';

let echo: EchoServer;
beforeAll(async () => {
  echo = await startEcho();
});
afterAll(() => echo.server.close());

const HEALTH = (last: boolean): string =>
  `GET /healthz HTTP/1.1\r\nHost: ${echo.host}\r\n${last ? 'Connection: close\r\n' : ''}\r\n`;

/** All that a connection answers to these bytes. `byNode`: it is Node's from the first request on. */
async function answerTo(bytes: Buffer, places: readonly number[], byNode: boolean): Promise<string> {
  const client = await openRaw(echo.port);
  if (byNode) {
    client.say(HEALTH(false));
    await client.hear(/"serving"}/);
  }
  const from = client.heard().length;
  await sayInPieces(client, bytes, places);
  // Its answer ends the connection, so that the end of what was heard is known.
  client.say(HEALTH(true));
  await client.closed;
  return client.heard().slice(from);
}

/** Status lines, fields in order of their names, and bodies. What is between hops, and the date, is each reader's own. */
function meaning(text: string): unknown[] {
  const messages: unknown[] = [];
  for (let rest = text; rest !== ''; ) {
    const end = rest.indexOf('\r\n\r\n');
    if (end === -1) return [...messages, rest];
    const [status, ...fields] = rest.slice(0, end).split('\r\n');
    const kept = fields.filter((field) => !/^(?:date|connection|keep-alive):/i.test(field)).sort();
    const length = Number(/\r\ncontent-length: (\d+)/i.exec(rest.slice(0, end))?.[1] ?? 0);
    messages.push({ status, fields: kept, body: rest.slice(end + 4, end + 4 + length) });
    rest = rest.slice(end + 4 + length);
  }
  return messages;
}

const name = fc.constantFrom(
  'Accept',
  'Authorization',
  'Mcp-Session-Id',
  'mcp-method',
  'MCP-Name',
  'X-A',
  'Cookie',
  'Content-Type',
  'Content-Encoding',
  'Origin',
  'Expect',
  'Upgrade',
  'TE',
  'Connection',
  'Transfer-Encoding',
  'Content-Length',
  'Host',
  '__proto__',
  'constructor',
  'Bad Name',
  'X:',
  '',
);
const value = fc.oneof(
  fc.constantFrom(
    '',
    'a',
    'application/json',
    'chunked',
    '5',
    'keep-alive',
    '100-continue',
    'a\tb',
    ' a ',
    '\u00e9',
    'a\nb',
    'a\rb',
    'a\0b',
  ),
  fc.string({ maxLength: 12 }),
);
const oneOrOther = <T>(usual: T, others: readonly T[]): fc.Arbitrary<T> =>
  fc.oneof({ weight: 8, arbitrary: fc.constant(usual) }, { weight: 1, arbitrary: fc.constantFrom(...others) });

/** Nothing that ends the connection in good order, and no byte behind the body: whether Node answers the request or what is behind it first depends on the packets. */
const requestText = fc
  .record({
    method: oneOrOther('POST', ['GET', 'post', 'PUT', 'POST ']),
    path: oneOrOther('/mcp', [
      '/mcp/shop',
      '/mcp?x=1',
      '/mcp/',
      '/mcp/../x',
      '/healthz',
      'mcp',
      '/mcp#a',
      'http://a/mcp',
    ]),
    version: oneOrOther('HTTP/1.1', ['HTTP/1.2', 'http/1.1', 'HTTP/1.1 ']),
    hosts: oneOrOther(1, [0, 2]),
    fields: fc.array(fc.tuple(name, oneOrOther(': ', [':', ' : ', ':\t', ':  ', '']), value), { maxLength: 4 }),
    eol: oneOrOther('\r\n', ['\n', '\r', '\r\n ']),
    length: oneOrOther('exact', ['plus', 'zeros', 'hex', 'list', 'none']),
    body: fc.oneof(fc.constantFrom('', '{}', '{"a":"é"}', '\r\n\r\n'), fc.string({ maxLength: 200 })),
  })
  .map(({ method, path, version, hosts, fields, eol, length, body }) => {
    const bytes = Buffer.byteLength(body);
    const digits = {
      exact: `${bytes}`,
      plus: `+${bytes}`,
      zeros: `0${bytes}`,
      hex: `0x${bytes.toString(16)}`,
      list: `${bytes}, ${bytes}`,
      none: '',
    }[length];
    const lines = [
      `${method} ${path} ${version}`,
      ...Array.from({ length: hosts }, () => 'Host: HOST'),
      ...fields.map(([n, colon, v]) => `${n}${colon}${v}`),
      ...(length === 'none' ? [] : [`Content-Length: ${digits}`]),
    ];
    return `${lines.join(eol)}\r\n\r\n${body}`;
  });

const plainText = fc
  .record({
    path: fc.constantFrom('/mcp', '/mcp/shop'),
    fields: fc.uniqueArray(
      fc.tuple(
        fc.constantFrom('Accept', 'aUTHORIZATION', 'mcp-method', 'MCP-Name', 'X-1', 'constructor'),
        fc.constantFrom(':', ': ', ':\t '),
        fc.constantFrom('', 'a', 'a b\tc ', '~!'),
      ),
      { selector: ([n]) => n, maxLength: 4 },
    ),
    body: fc.oneof(fc.constantFrom('', '{"a":"é"}', '\r\n\r\n'), fc.string({ maxLength: 200 })),
  })
  .map(({ path, fields, body }) => {
    const lines = [`POST ${path} HTTP/1.1`, 'Host: HOST', ...fields.map((field) => field.join(''))];
    lines.splice(1 + (body.length % lines.length), 0, `Content-Length: ${Buffer.byteLength(body)}`);
    return `${lines.join('\r\n')}\r\n\r\n${body}`;
  });

it('whatever is said in whatever pieces is answered as by the server of Node alone', async () => {
  let taken = 0;
  await fc.assert(
    fc.asyncProperty(
      fc.oneof({ weight: 3, arbitrary: requestText }, { weight: 1, arbitrary: plainText }),
      fc.array(fc.nat(300), { maxLength: 4 }),
      async (text, places) => {
        const bytes = Buffer.from(text.replaceAll('HOST', echo.host));
        echo.taken.length = 0;
        const byWire = await answerTo(bytes, places, false);
        if (echo.taken[0] === true) taken += 1;
        const byNode = await answerTo(bytes, [], true);
        expect(meaning(byWire)).toEqual(meaning(byNode));
      },
    ),
    { numRuns: 400 },
  );
  // The reader before Node's had its share, or nothing was compared.
  expect(taken).toBeGreaterThan(20);
}, 60_000);
