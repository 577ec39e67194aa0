import { once } from 'node:events';
import { createServer, type IncomingMessage, request, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterEach, describe, expect, it } from 'vitest';
import { type Shim, startShim } from '../../conformance/shim.ts';

let server: Server | undefined;
let shim: Shim | undefined;
afterEach(async () => {
  await shim?.close();
  server?.closeAllConnections();
  server?.close();
});

type Serve = (request: IncomingMessage, response: ServerResponse) => void;

async function start(serve: Serve): Promise<{ origin: string; target: string }> {
  server = createServer(serve).listen(0, '127.0.0.1');
  await once(server, 'listening');
  const target = `127.0.0.1:${(server.address() as AddressInfo).port}`;
  shim = await startShim(new URL(`http://${target}`), async () => 'task-token');
  return { origin: shim.origin, target };
}

async function readAll(stream: IncomingMessage): Promise<string> {
  let text = '';
  for await (const chunk of stream) text += String(chunk);
  return text;
}

describe('the shim in front of the gateway', () => {
  it('adds the token and changes nothing else of a request and its answer', async () => {
    const seen: { raw: string[]; url: string | undefined; body: string }[] = [];
    const { origin, target } = await start(async (incoming, response) => {
      seen.push({ raw: incoming.rawHeaders, url: incoming.url, body: await readAll(incoming) });
      response.writeHead(418, 'Short', ['X-Twice', '1', 'X-Twice', '2', 'Content-Type', 'text/x']);
      response.end('answer');
    });
    const own = new URL(origin).host;
    const outgoing = request(`${origin}/mcp/one?x=1`, {
      method: 'POST',
      headers: ['Host', own, 'Origin', origin, 'MCP-Name', 'a', 'X-Odd', '1', 'X-Odd', '2', 'Content-Length', '4'],
    });
    outgoing.end('body');
    const [answer] = (await once(outgoing, 'response')) as [IncomingMessage];
    expect([answer.statusCode, answer.statusMessage, answer.rawHeaders.slice(0, 4)]).toEqual([
      418,
      'Short',
      ['X-Twice', '1', 'X-Twice', '2'],
    ]);
    expect(await readAll(answer)).toBe('answer');
    expect(seen).toHaveLength(1);
    expect(seen[0]?.url).toBe('/mcp/one?x=1');
    expect(seen[0]?.body).toBe('body');
    expect(seen[0]?.raw.slice(0, 12)).toEqual([
      ...['Host', target, 'Origin', `http://${target}`, 'MCP-Name', 'a'],
      ...['X-Odd', '1', 'X-Odd', '2', 'Content-Length', '4'],
    ]);
    expect(seen[0]?.raw.join('\n')).toContain('Authorization\nBearer task-token');
  });

  it('passes a foreign Host and Origin on, for the gateway to refuse', async () => {
    const { origin } = await start((incoming, response) => {
      response.end(`${incoming.headers.host} ${incoming.headers.origin}`);
    });
    const outgoing = request(origin, { headers: { Host: 'evil.example.com', Origin: 'http://evil.example.com' } });
    outgoing.end();
    const [answer] = (await once(outgoing, 'response')) as [IncomingMessage];
    expect(await readAll(answer)).toBe('evil.example.com http://evil.example.com');
  });

  it('passes each event of a stream when it is said, and tells the server when the client has gone', async () => {
    const gone = new Promise<void>((resolve) => {
      void start((_incoming, response) => {
        response.writeHead(200, { 'Content-Type': 'text/event-stream' });
        response.write('data: 1\n\n');
        response.on('close', () => resolve());
      }).then(async ({ origin }) => {
        const outgoing = request(origin);
        outgoing.end();
        const [answer] = (await once(outgoing, 'response')) as [IncomingMessage];
        const [first] = (await once(answer, 'data')) as [Buffer];
        expect(first.toString()).toBe('data: 1\n\n');
        answer.destroy();
      });
    });
    await gone;
  });

  it('answers 502 when nothing listens behind it', async () => {
    shim = await startShim(new URL('http://127.0.0.1:9'), async () => 'task-token');
    const outgoing = request(shim.origin);
    outgoing.end();
    const [answer] = (await once(outgoing, 'response')) as [IncomingMessage];
    answer.resume();
    expect(answer.statusCode).toBe(502);
  });
});
