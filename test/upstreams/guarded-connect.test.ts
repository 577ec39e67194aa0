import { afterEach, describe, expect, it } from 'vitest';
import { type Lookup, reachOf } from '../../src/adapters/upstreams/guarded-connect.ts';
import { createHttpOpener } from '../../src/adapters/upstreams/http-upstream.ts';
import { createSseOpener } from '../../src/adapters/upstreams/sse-upstream.ts';
import { connectorId, taskId } from '../../src/domain/ids.ts';
import { NO_CREDENTIAL, type Upstream } from '../../src/seams/upstream.ts';
import { type FakeHttpServer, startFakeHttpServer } from '../support/fake-mcp-http-server.ts';
import { CLIENT, schedule } from '../support/fake-mcp-setup.ts';

const closers: (() => Promise<unknown>)[] = [];
afterEach(async () => {
  for (const closer of closers.splice(0).reverse()) await closer();
});

const REFUSED = { code: 'ERR_CONNECTOR_UNREACHABLE', message: expect.stringContaining('may not go to') };

/** Resolves every name to `found`, which may change. */
function names(...addresses: string[]): Lookup & { found: string[] } {
  const lookup = (
    _hostname: string,
    _options: { all: true },
    callback: (error: null, found: { address: string; family: number }[]) => void,
  ): void =>
    callback(
      null,
      lookup.found.map((address) => ({ address, family: address.includes(':') ? 6 : 4 })),
    );
  lookup.found = addresses;
  return lookup;
}

async function serve(): Promise<FakeHttpServer> {
  const server = await startFakeHttpServer();
  closers.push(() => server.close());
  return server;
}

function open(
  url: string,
  more: { lookup?: Lookup; allowPrivateNetwork?: boolean; isSse?: boolean } = {},
): Promise<Upstream> {
  const { isSse = false, ...rest } = more;
  const create = isSse ? createSseOpener : createHttpOpener;
  const opener = create({ url, clientInfo: CLIENT, schedule, ...rest });
  closers.push(() => opener.close());
  return opener.open({
    connector: connectorId('fake'),
    task: taskId('tsk_a'),
    injection: NO_CREDENTIAL,
    timeoutMs: 2_000,
    prefer: 'legacy',
    clientCapabilities: {},
  });
}

describe('how far an address is', () => {
  it.each([
    ['8.8.8.8', 'public'],
    ['2606:4700::1', 'public'],
    ['::ffff:8.8.8.8', 'public'],
    ['64:ff9b::808:808', 'public'],
    ['10.0.0.1', 'private'],
    ['172.16.5.5', 'private'],
    ['192.168.1.1', 'private'],
    ['100.64.0.1', 'private'],
    ['fd12:3456::1', 'private'],
    ['::ffff:10.0.0.1', 'private'],
    ['127.0.0.1', 'loopback'],
    ['127.8.9.10', 'loopback'],
    ['::1', 'loopback'],
    ['169.254.169.254', 'never'],
    ['169.254.0.1', 'never'],
    ['fe80::1', 'never'],
    ['fd00:ec2::254', 'never'],
    ['100.100.100.200', 'never'],
    ['168.63.129.16', 'never'],
    ['0.0.0.0', 'never'],
    ['0.1.2.3', 'never'],
    ['::', 'never'],
    ['::7f00:1', 'never'],
    ['::a00:1', 'never'],
    ['::ffff:127.0.0.1', 'never'],
    ['::ffff:169.254.169.254', 'never'],
    ['::ffff:100.100.100.200', 'never'],
    ['64:ff9b::a9fe:a9fe', 'never'],
    ['64:ff9b::7f00:1', 'never'],
    ['64:ff9b:1::808:808', 'never'],
    ['2002:a9fe:a9fe::1', 'never'],
    ['2001:0:1:2::3', 'never'],
    ['224.0.0.1', 'never'],
    ['ff02::1', 'never'],
    ['255.255.255.255', 'never'],
    ['240.0.0.1', 'never'],
    ['198.18.0.1', 'never'],
    ['192.0.2.1', 'never'],
    ['fec0::1', 'never'],
    ['2001:db8::1', 'never'],
    ['not an address', 'never'],
  ])('fault 43, A30: %s is %s', (address, reach) => {
    expect(reachOf(address)).toBe(reach);
  });
});

describe('a connector URL', () => {
  it.each([
    'http://169.254.169.254/latest/meta-data/',
    'http://2852039166/', // the same in another notation
    'http://0xa9.0xfe.0xa9.0xfe/',
    'http://[::ffff:169.254.169.254]/',
    'http://[fd00:ec2::254]/',
    'http://100.100.100.200/',
    'http://0.0.0.0:1/',
    'http://[::]:1/',
    'http://10.0.0.1:1/',
    'http://192.168.0.1:1/',
    'http://[fd12::1]:1/',
  ])('fault 43, A30: is not followed to %s', async (url) => {
    await expect(open(url)).rejects.toMatchObject(REFUSED);
    await expect(open(url, { isSse: true })).rejects.toMatchObject(REFUSED);
  });

  it.each([
    [['127.0.0.1']],
    [['::1']],
    [['10.1.2.3']],
    [['169.254.169.254']],
    [['::ffff:127.0.0.1']],
    [['fd00:ec2::254', '127.0.0.1']],
    [[]],
  ])('fault 43, A36: is not followed to a name that resolves to %j', async (addresses) => {
    const { port, seen } = await serve();
    await expect(open(`http://inner.example:${port}/mcp`, { lookup: names(...addresses) })).rejects.toMatchObject(
      REFUSED,
    );
    expect(seen).toEqual([]);
  });

  it.each(['169.254.169.254', '100.100.100.200', '0.0.0.0', '127.0.0.1', '::ffff:169.254.169.254'])(
    'A30: is not followed to %s even where private networks are allowed',
    async (address) => {
      const more = { lookup: names(address), allowPrivateNetwork: true };
      await expect(open('http://inner.example:1/mcp', more)).rejects.toMatchObject(REFUSED);
    },
  );

  it('fault 43, A36: is looked at again at each connect, so that a name cannot move (rebinding)', async () => {
    const { url, seen, sockets } = await serve();
    // `localhost` may be at a loopback address, and nowhere else within.
    const lookup = names('127.0.0.1');
    const upstream = await open(url.replace('127.0.0.1', 'localhost'), { lookup });
    const call = (n: number) => upstream.request({ method: 'echo', params: `"n":${n}`, meta: '', timeoutMs: 2_000 });
    await call(0);
    const before = sockets();
    lookup.found = ['169.254.169.254'];
    const results = await Promise.allSettled(Array.from({ length: before + 5 }, (_, n) => call(n + 1)));
    const failed = results.filter((one) => one.status === 'rejected');
    expect(failed.length).toBeGreaterThanOrEqual(5); // those which needed a socket of their own
    for (const one of failed) expect(one.reason).toMatchObject(REFUSED);
    expect(sockets()).toBe(before);
    expect(seen.filter((one) => one.message?.method === 'echo')).toHaveLength(1 + results.length - failed.length);
  });

  it('fault 43: reaches only those addresses of a name that it may', async () => {
    const { url } = await serve();
    const lookup = names('169.254.169.254', '127.0.0.1', '10.0.0.1');
    expect((await open(url.replace('127.0.0.1', 'localhost'), { lookup })).era).toBe('legacy');
  });

  it('reaches a loopback address that it names itself', async () => {
    const { url } = await serve();
    expect((await open(url)).era).toBe('legacy');
  });

  it('says so when a name is unknown', async () => {
    const lookup: Lookup = (_hostname, _options, callback) =>
      callback(Object.assign(new Error('who?'), { code: 'ENOTFOUND' }), []);
    await expect(open('http://nowhere.example/', { lookup })).rejects.toMatchObject({
      code: 'ERR_CONNECTOR_UNREACHABLE',
      message: expect.stringContaining('ENOTFOUND'),
    });
  });

  it('fault 43, A36: is not left for where a redirect points', async () => {
    const other = await serve();
    const server = await startFakeHttpServer({
      intercept: (_request, response) => response.writeHead(307, { location: other.url }).end() !== undefined,
    });
    closers.push(() => server.close());
    await expect(open(server.url)).rejects.toMatchObject({ code: 'ERR_CONNECTOR_PROTOCOL' });
    expect(other.seen).toEqual([]);
  });
});
