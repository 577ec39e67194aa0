import { createServer, request, type ServerResponse } from 'node:http';
import { type AddressInfo, connect } from 'node:net';
import { afterEach, expect, test } from 'vitest';
import { SseStream } from '../../src/gateway/edge/sse-stream.ts';

const closers: (() => void)[] = [];
afterEach(() => {
  for (const close of closers.splice(0)) close();
});

async function serve(answer: (response: ServerResponse) => void): Promise<number> {
  const server = createServer((_, response) => answer(response));
  closers.push(
    () => server.closeAllConnections(),
    () => server.close(),
  );
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return (server.address() as AddressInfo).port;
}

/** Events as texts, and one in pieces, with characters of more than one byte. */
async function say(response: ServerResponse): Promise<void> {
  const stream = new SseStream(response);
  stream.write('data: één\n\n');
  stream.write('data: 😀\n\n');
  await new Promise((resolve) => setImmediate(resolve));
  stream.write('data: plain\n\n', true);
  await new Promise((resolve) => setImmediate(resolve));
  stream.write('data: mixed\n\n', true);
  stream.write('data: één\n\n');
  stream.flush();
  stream.writePiece('data: ü');
  stream.writePiece(Buffer.from('é-bytes'));
  stream.writePiece('\n\n');
  stream.beat();
  stream.write('data: last\n\n');
  stream.end();
}
const SAID = 'data: één\n\ndata: 😀\n\ndata: plain\n\ndata: mixed\n\ndata: één\n\ndata: üé-bytes\n\ndata: last\n\n';

test('what is framed here is read by an HTTP/1.1 client, which goes on with its connection', async () => {
  const port = await serve((response) => void say(response));
  for (let round = 0; round < 2; round += 1) {
    const { text, isKept } = await new Promise<{ text: string; isKept: boolean }>((resolve, reject) => {
      request({ port, host: '127.0.0.1' }, (response) => {
        let text = '';
        response.setEncoding('utf8').on('data', (chunk: string) => {
          text += chunk;
        });
        response.on('end', () =>
          resolve({ text, isKept: response.headers.connection !== 'close' && response.complete }),
        );
      })
        .on('error', reject)
        .end();
    });
    expect(text.replace(':\n\n', '')).toBe(SAID);
    expect(isKept).toBe(true);
  }
});

test('an HTTP/1.0 client gets events and no chunks', async () => {
  const port = await serve((response) => void say(response));
  const text = await new Promise<string>((resolve, reject) => {
    let all = '';
    connect(port, '127.0.0.1', function connected(this: import('node:net').Socket) {
      this.write('GET / HTTP/1.0\r\n\r\n');
    })
      .setEncoding('utf8')
      .on('data', (chunk) => {
        all += chunk;
      })
      .on('end', () => resolve(all))
      .on('error', reject);
  });
  expect(text.slice(text.indexOf('\r\n\r\n') + 4).replace(':\n\n', '')).toBe(SAID);
});

test('an end without a word is an end', async () => {
  const port = await serve((response) => new SseStream(response).end());
  const answer = await fetch(`http://127.0.0.1:${port}`);
  expect(await answer.text()).toBe('');
});
