import { connect } from 'node:net';
import { afterEach, expect, it } from 'vitest';
import { createHttpOpener } from '../../src/adapters/upstreams/http-upstream.ts';
import { createSseOpener } from '../../src/adapters/upstreams/sse-upstream.ts';
import { Cancellation } from '../../src/domain/cancellation.ts';
import { connectorId, taskId } from '../../src/domain/ids.ts';
import { NO_CREDENTIAL, type Upstream, type UpstreamOpener } from '../../src/seams/upstream.ts';
import { type FakeHttpServer, startFakeHttpServer } from '../support/fake-mcp-http-server.ts';
import { CLIENT, schedule } from '../support/fake-mcp-setup.ts';

/** Whether a call that failed may have had an effect: the adapter knows what it has written. */
const closers: (() => Promise<unknown> | unknown)[] = [];
afterEach(async () => {
  for (const closer of closers.splice(0).reverse()) await closer();
});

type Kind = 'legacy' | 'modern' | 'sse';

async function setUp(kind: Kind, maxSockets = 4): Promise<{ server: FakeHttpServer; upstream: Upstream }> {
  const server = await startFakeHttpServer(kind === 'modern' ? { version: 'modern' } : { isSse: kind === 'sse' });
  closers.push(() => server.close());
  const options = { url: server.url, clientInfo: CLIENT, schedule, maxSockets };
  const opener: UpstreamOpener & { close(): Promise<void> } =
    kind === 'sse' ? createSseOpener(options) : createHttpOpener({ ...options, protocol: kind });
  closers.push(() => opener.close());
  const upstream = await opener.open({
    connector: connectorId('fake'),
    task: taskId('tsk_a'),
    injection: NO_CREDENTIAL,
    timeoutMs: 5_000,
    prefer: kind === 'modern' ? 'modern' : 'legacy',
    clientCapabilities: {},
  });
  return { server, upstream };
}

const call = (upstream: Upstream, method: string, more: { params?: string; cancellation?: Cancellation } = {}) =>
  upstream.request({ method, params: more.params ?? '', meta: '', timeoutMs: 5_000, cancellation: more.cancellation });

const methods = (server: FakeHttpServer) => server.seen.map(({ message }) => message?.method);

it.each(['legacy', 'modern', 'sse'] as const)('I2 %s: on a closed connection, nothing was sent', async (kind) => {
  const { server, upstream } = await setUp(kind);
  await upstream.close();
  await expect(call(upstream, 'write')).rejects.toMatchObject({ code: 'ERR_CONNECTOR_UNREACHABLE', isUnsent: true });
  expect(methods(server)).not.toContain('write');
});

it.each(['legacy', 'modern', 'sse'] as const)('I2 %s: cancelled before it began, nothing was sent', async (kind) => {
  const { server, upstream } = await setUp(kind);
  const cancellation = new Cancellation();
  cancellation.cancel('gone');
  await expect(call(upstream, 'write', { cancellation })).rejects.toMatchObject({ isUnsent: true });
  expect(methods(server)).not.toContain('write');
});

it.each(['legacy', 'modern'] as const)(
  'I2 %s: given up while it waited for a socket, nothing was sent',
  async (kind) => {
    const { server, upstream } = await setUp(kind, 1);
    const slow = call(upstream, 'echo', { params: '"delay":300' });
    const cancellation = new Cancellation();
    const waiting = call(upstream, 'write', { cancellation });
    cancellation.cancel('gone');
    await expect(waiting).rejects.toMatchObject({ isUnsent: true });
    await slow;
    expect(methods(server)).not.toContain('write');
  },
);

it.each(['legacy', 'modern'] as const)('I2 %s: where nobody listens any more, nothing was sent', async (kind) => {
  const { server, upstream } = await setUp(kind);
  await server.close();
  await refused(server.port);
  await expect(call(upstream, 'write')).rejects.toMatchObject({ code: 'ERR_CONNECTOR_UNREACHABLE', isUnsent: true });
});

it.each(['legacy', 'modern', 'sse'] as const)(
  'I2, fault 34 %s: cut off or cancelled after it was written, it may have had its effect',
  async (kind) => {
    const { server, upstream } = await setUp(kind);
    const cancellation = new Cancellation();
    const slow = call(upstream, 'echo', { params: '"delay":5000', cancellation });
    const other = call(upstream, 'echo', { params: '"delay":5000' });
    while (methods(server).filter((method) => method === 'echo').length < 2) await new Promise(setImmediate);
    const both = Promise.allSettled([slow, other]);
    cancellation.cancel('gone');
    await upstream.close();
    const rejected = { status: 'rejected', reason: { code: 'ERR_CONNECTOR_UNREACHABLE', isUnsent: false } };
    expect(await both).toMatchObject([rejected, rejected]);
    // The fault of the connection is the same one for both: marking it for this call has not marked it for that.
    await expect(call(upstream, 'write')).rejects.toMatchObject({ isUnsent: true });
  },
);

/** Resolves once connections to a port are refused. */
async function refused(port: number): Promise<void> {
  for (;;) {
    const isRefused = await new Promise<boolean>((resolve) => {
      const socket = connect(port, '127.0.0.1', () => {
        socket.destroy();
        resolve(false);
      });
      socket.once('error', () => resolve(true));
    });
    if (isRefused) return;
  }
}
