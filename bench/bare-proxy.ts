/** The reference for ratios: the least that a Node proxy does, `node:http` in, undici out, bodies buffered, a header put in. Prints its port. */
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { Pool } from 'undici';

const [, , origin = '', token = ''] = process.argv;
const pool = new Pool(origin, { connections: 64, pipelining: 1 });

const server = createServer((request, response) => {
  const chunks: Buffer[] = [];
  request.on('data', (chunk: Buffer) => chunks.push(chunk));
  request.on('end', () => {
    const body = chunks.length === 1 ? (chunks[0] as Buffer) : Buffer.concat(chunks);
    const reply: Buffer[] = [];
    pool.dispatch(
      {
        method: 'POST',
        path: request.url ?? '/',
        headers: {
          'content-type': 'application/json',
          accept: 'application/json, text/event-stream',
          authorization: `Bearer ${token}`,
        },
        body,
      },
      {
        onRequestStart() {},
        onResponseStart(_controller, statusCode) {
          response.statusCode = statusCode;
        },
        onResponseData(_controller, chunk) {
          reply.push(chunk);
        },
        onResponseEnd() {
          const whole = reply.length === 1 ? (reply[0] as Buffer) : Buffer.concat(reply);
          response.setHeader('Content-Type', 'application/json');
          response.setHeader('Content-Length', whole.length);
          response.end(whole);
        },
        onResponseError(_controller, error) {
          response.writeHead(502).end(error.message);
        },
      },
    );
  });
});

server.listen(0, '127.0.0.1', () => {
  process.stdout.write(`{"port":${(server.address() as AddressInfo).port}}\n`);
});
