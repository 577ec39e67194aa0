import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { createServer as createHttpServer, type IncomingMessage, request, type Server } from 'node:http';
import { type AddressInfo, connect, createServer, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { type EgressProxy, openEgressProxy } from '../../src/adapters/upstreams/egress-proxy.ts';

describe('the way out of a sandbox', () => {
  let folder: string;
  let path: string;
  let proxy: EgressProxy | undefined;
  const closing: (() => Promise<unknown>)[] = [];

  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'remit-test-'));
    path = join(folder, 's');
  });
  afterEach(async () => {
    await proxy?.close();
    proxy = undefined;
    for (const close of closing.splice(0)) await close();
    await rm(folder, { recursive: true, force: true });
  });

  async function openTo(...allow: string[]): Promise<void> {
    proxy = await openEgressProxy(path, { allow, allowPrivateNetwork: false });
  }

  async function echo(): Promise<number> {
    const server = createServer({ allowHalfOpen: true }, (socket) => socket.pipe(socket));
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    closing.push(() => new Promise((closed) => server.close(closed)));
    return (server.address() as AddressInfo).port;
  }

  async function web(seen: IncomingMessage[]): Promise<number> {
    const server: Server = createHttpServer((incoming, response) => {
      seen.push(incoming);
      incoming.resume().once('end', () => response.writeHead(201, { 'x-own': 'yes' }).end('made'));
    });
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    closing.push(() => new Promise((closed) => server.close(closed)));
    return (server.address() as AddressInfo).port;
  }

  async function tunnel(to: string): Promise<{ status: number; socket: Socket; text: string }> {
    const asked = request({ socketPath: path, method: 'CONNECT', path: to, agent: false });
    asked.end();
    const [response, socket, head] = (await once(asked, 'connect')) as [IncomingMessage, Socket, Buffer];
    return { status: response.statusCode ?? 0, socket, text: String(head) };
  }

  async function refused(to: string): Promise<{ status: number; text: string }> {
    const { status, socket, text } = await tunnel(to);
    let whole = text;
    for await (const chunk of socket) whole += chunk;
    return { status, text: whole };
  }

  it('passes on what is encrypted, unread, both ways and to its end', async () => {
    const port = await echo();
    await openTo(`127.0.0.1:${port}`);
    const { status, socket } = await tunnel(`127.0.0.1:${port}`);
    expect(status).toBe(200);
    socket.end('hello');
    let back = '';
    for await (const chunk of socket) back += chunk;
    expect(back).toBe('hello');
  });

  it('refuses what is not on the list, and says so: another port, another host, another spelling of one', async () => {
    const port = await echo();
    await openTo('api.example.com', `127.0.0.1:${port + 1}`);
    for (const to of [
      `127.0.0.1:${port}`,
      `localhost:${port}`,
      'example.com:443',
      '2130706433:443',
      `[::ffff:127.0.0.1]:${port}`,
      'nonsense',
      ':443',
    ]) {
      const { status, text } = await refused(to);
      expect([to, status]).toEqual([to, 403]);
      expect(text).toContain('not on the list of this connector');
    }
  });

  it.each(['169.254.169.254', '10.0.0.1', '[fd00:ec2::254]'])(
    'A30 goes to no address inside the network, although it is on the list: %s',
    async (host) => {
      await openTo(`${host}:80`);
      const { status, text } = await refused(`${host}:80`);
      expect(status).toBe(502);
      expect(text).toContain('an address that Remit may not go to');
    },
  );

  it('A36 follows no name on the list to this host', async () => {
    const port = await echo();
    await openTo(`ip6-localhost:${port}`, `*.localhost:${port}`);
    const { status } = await refused(`a.localhost:${port}`);
    expect(status).toBe(502);
  });

  it('asks for plain http by its own, without what is meant for the proxy', async () => {
    const seen: IncomingMessage[] = [];
    const port = await web(seen);
    await openTo(`127.0.0.1:${port}`);
    const headers = {
      'Proxy-Authorization': 'Basic x',
      Connection: 'X-Hop',
      'X-Hop': '1',
      'X-Kept': '2',
      Host: 'other.example',
    };
    const asked = request({
      socketPath: path,
      method: 'POST',
      path: `http://127.0.0.1:${port}/a?b=c`,
      headers,
      agent: false,
    });
    asked.end('body');
    const [response] = (await once(asked, 'response')) as [IncomingMessage];
    let text = '';
    for await (const chunk of response) text += chunk;
    expect([response.statusCode, response.headers['x-own'], text]).toEqual([201, 'yes', 'made']);
    expect(seen[0]?.url).toBe('/a?b=c');
    expect(seen[0]?.headers).toMatchObject({ host: `127.0.0.1:${port}`, 'x-kept': '2' });
    expect(Object.keys(seen[0]?.headers ?? {})).not.toContain('x-hop');
    expect(Object.keys(seen[0]?.headers ?? {})).not.toContain('proxy-authorization');
  });

  it.each(['https://127.0.0.1/', 'ftp://127.0.0.1/', '/local'])('asks for nothing else: %s', async (address) => {
    await openTo('127.0.0.1', '127.0.0.1:80', '127.0.0.1:21');
    const asked = request({ socketPath: path, path: address, agent: false });
    asked.end();
    const [response] = (await once(asked, 'response')) as [IncomingMessage];
    response.resume();
    expect(response.statusCode).toBe(403);
  });

  it('ends what goes through it when it is closed', async () => {
    const port = await echo();
    await openTo(`127.0.0.1:${port}`);
    const { socket } = await tunnel(`127.0.0.1:${port}`);
    const ended = once(socket, 'close');
    await proxy?.close();
    await ended;
    await expect(once(connect(path), 'connect')).rejects.toThrow();
  });

  it('says what is wrong with a path too long for a socket', async () => {
    path = join(folder, 'x'.repeat(120));
    await expect(openTo('a.example')).rejects.toThrow('too long');
  });
});
