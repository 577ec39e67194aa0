import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Server } from 'node:net';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { postgresProtocol } from '../../harness/postgres-protocol.ts';
import { redisProtocol } from '../../harness/redis-protocol.ts';
import { type Decide, type Protocol, startTcpProxy } from '../../harness/tcp-proxy.ts';

/** The crash harness rests on knowing where in a conversation it is, however the bytes are cut. */

/** Answers each command with OK, and keeps what it got. */
let server: Server;
let got = '';
beforeAll(async () => {
  server = createServer((socket) => {
    socket.on('error', () => {});
    socket.on('data', (bytes) => {
      got += bytes.toString();
      for (const _ of bytes.toString().matchAll(/PING/g)) socket.write('+OK\r\n');
    });
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
});
afterAll(() => void server.close());

const PING = '*3\r\n$3\r\nACL\r\n$4\r\nPING\r\n$7\r\nremit_x\r\n';
const redis: Protocol = redisProtocol(([, what = '', tag]) => ({ what, tag }));

async function talk(decide: Decide, text: string): Promise<string> {
  got = '';
  const { port } = server.address() as AddressInfo;
  const proxy = await startTcpProxy({ host: '127.0.0.1', port, protocol: redis, decide });
  const client = connect(proxy.port, '127.0.0.1');
  client.on('error', () => {});
  let heard = '';
  client.on('data', (bytes) => {
    heard += bytes.toString();
    if (heard === '+OK\r\n'.repeat(text.split('PING').length - 1)) client.end();
  });
  for (const byte of text) client.write(byte);
  await once(client, 'close');
  await proxy.close();
  return heard;
}

it('passes what it is not told to hold, and names each point of each request in order', async () => {
  const seen: string[] = [];
  const heard = await talk((point, { what, tag }) => {
    seen.push(`${what} ${tag} ${point}`);
    return point === 'answered' ? { afterMs: 5 } : 'pass';
  }, PING + PING);
  expect(heard).toBe('+OK\r\n+OK\r\n');
  expect(seen.filter((line) => line === 'PING remit_x passed')).toHaveLength(2);
  expect(seen.slice(0, 2)).toEqual(['PING remit_x sent', 'PING remit_x delivered']);
});

it('loses a request before it arrives, and an answer after the request has', async () => {
  expect(await talk((point) => (point === 'sent' ? 'lose' : 'pass'), PING)).toBe('');
  expect(got).toBe('');
  expect(await talk((point) => (point === 'answered' ? 'lose' : 'pass'), PING)).toBe('');
  expect(got).toBe(PING);
});

it('reads PostgreSQL’s messages across any cut: what a statement is about, and where its answer ends', () => {
  const protocol = postgresProtocol(() => (sql) => ({ what: sql.split(' ')[0] ?? '', tag: undefined }));
  const message = (type: string, body: string): Buffer => {
    const bytes = Buffer.from(`${type}____${body}`);
    bytes.writeUInt32BE(bytes.length - type.length, type.length);
    return bytes;
  };
  const requests = protocol.requests();
  const sent = Buffer.concat([
    message('', 'user\0x\0\0'),
    message('p', 'secret\0'),
    message('Q', 'BEGIN\0'),
    message('P', '\0SELECT $1\0\0\0'),
    message('B', '\0\0'),
    message('S', ''),
  ]);
  const marks = [...sent].flatMap((byte) => requests.push(Buffer.from([byte])).map(({ mark }) => mark?.what));
  expect(marks).toEqual(['start-up', undefined, 'BEGIN', undefined, undefined, 'SELECT']);

  const answers = protocol.answers();
  const said = Buffer.concat([message('R', '0000'), message('Z', 'I'), message('C', 'BEGIN\0'), message('Z', 'T')]);
  const ends = [...said].flatMap((byte) => answers.push(Buffer.from([byte])).map(({ mark }) => mark));
  expect(ends).toEqual(['free', 'end', undefined, 'end']);
});
