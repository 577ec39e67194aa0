import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createGuardedFetch } from '../../src/adapters/upstreams/guarded-fetch.ts';

describe('fetching what strangers name', () => {
  let server: Server;
  let origin: string;
  const seen: string[] = [];
  beforeAll(async () => {
    server = createServer((request, response) => {
      seen.push(request.url ?? '');
      if (request.url === '/away') response.writeHead(302, { Location: `${origin}/secret` }).end();
      else if (request.url === '/large') response.end('x'.repeat(300 * 1024));
      else if (request.url === '/empty') response.writeHead(204).end();
      else {
        let body = '';
        request.on('data', (chunk) => {
          body += String(chunk);
        });
        request.on('end', () => response.end(`${request.method} ${request.headers.accept} ${body}`));
      }
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    origin = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  });
  afterAll(() => new Promise((resolve) => server.close(resolve)));

  const own = (more: Partial<Parameters<typeof createGuardedFetch>[0]> = {}) =>
    createGuardedFetch({ hostname: '127.0.0.1', allowPrivateNetwork: false, ...more });

  it('sends and answers as fetch does', async () => {
    const { fetch, close } = own();
    const headers = new Headers({ Accept: 'text/plain' });
    const response = await fetch(`${origin}/`, { method: 'POST', headers, body: new URLSearchParams({ a: 'b c' }) });
    expect(await response.text()).toBe('POST text/plain a=b+c');
    expect((await fetch(`${origin}/empty`, {})).status).toBe(204);
    await close();
  });

  it('follows no redirect', async () => {
    const { fetch, close } = own();
    const response = await fetch(`${origin}/away`, {});
    expect(response.status).toBe(302);
    expect(response.headers.get('location')).toBe(`${origin}/secret`);
    expect(seen).not.toContain('/secret');
    await close();
  });

  it('reads no more than it has to', async () => {
    const { fetch, close } = own();
    await expect(fetch(`${origin}/large`, {})).rejects.toMatchObject({ code: 'ERR_CONNECTOR_PROTOCOL' });
    await close();
  });

  it.each(['http://169.254.169.254/', 'http://[fd00:ec2::254]/', 'http://10.0.0.1/', 'http://[::ffff:10.0.0.1]/'])(
    'A30 connects to no address that the connector may not be at: %s',
    async (address) => {
      const { fetch, close } = own();
      await expect(fetch(address, { signal: AbortSignal.timeout(5_000) })).rejects.toMatchObject({
        cause: { code: 'ERR_CONNECTOR_UNREACHABLE' },
      });
      await close();
    },
  );

  it('A30 does not reach loopback for a connector that is elsewhere, whatever name leads there', async () => {
    const before = seen.length;
    const elsewhere = own({ hostname: 'notes.example.com', allowPrivateNetwork: true });
    await expect(elsewhere.fetch(`${origin}/`, {})).rejects.toMatchObject({
      cause: { code: 'ERR_CONNECTOR_UNREACHABLE' },
    });
    const renamed = own({
      hostname: 'notes.example.com',
      lookup: (_name, _options, callback) => callback(null, [{ address: '127.0.0.1', family: 4 }]),
    });
    await expect(renamed.fetch(`http://login.example.com:${new URL(origin).port}/`, {})).rejects.toThrow();
    expect(seen.length).toBe(before);
    await elsewhere.close();
    await renamed.close();
  });
});
