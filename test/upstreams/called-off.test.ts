import { afterEach, expect, it } from 'vitest';
import { createHttpOpener } from '../../src/adapters/upstreams/http-upstream.ts';
import { createSseOpener } from '../../src/adapters/upstreams/sse-upstream.ts';
import { createStdioOpener } from '../../src/adapters/upstreams/stdio-upstream.ts';
import { Cancellation } from '../../src/domain/cancellation.ts';
import { connectorId, taskId } from '../../src/domain/ids.ts';
import { NO_CREDENTIAL, type UpstreamOpener } from '../../src/seams/upstream.ts';
import { startFakeHttpServer } from '../support/fake-mcp-http-server.ts';
import { processesWith } from '../support/fake-mcp-processes.ts';
import { CLIENT, contain, FAKE_STDIO_COMMAND, schedule } from '../support/fake-mcp-setup.ts';

const closers: (() => Promise<unknown> | unknown)[] = [];
afterEach(async () => {
  for (const closer of closers.splice(0).reverse()) await closer();
});

async function callOff(opener: UpstreamOpener): Promise<void> {
  const cancellation = new Cancellation();
  const common = {
    connector: connectorId('fake'),
    injection: NO_CREDENTIAL,
    timeoutMs: 60_000,
    prefer: 'legacy',
    clientCapabilities: {},
    cancellation,
  } as const;
  const opening = opener.open({ ...common, task: taskId('tsk_a') });
  setTimeout(() => cancellation.cancel('the task has ended'), 200);
  await expect(opening).rejects.toMatchObject({ code: 'ERR_CONNECTOR_UNREACHABLE' });
  await expect(opener.open({ ...common, task: taskId('tsk_b') })).rejects.toThrow();
}

it('V2 a stdio server that never answers the handshake is ended when its opening is called off', async () => {
  const containment = await contain();
  closers.push(() => containment.close());
  const marker = `--called-off-${process.pid}`;
  const opener = createStdioOpener({
    command: [...FAKE_STDIO_COMMAND, marker],
    environment: { FAKE_VERSION: 'silent' },
    containment,
    clientInfo: CLIENT,
    schedule,
  });
  closers.push(() => opener.close());
  await callOff(opener);
  expect(processesWith('cmdline', marker)).toEqual([]);
});

it('V2 an HTTP server that never answers the handshake is given up when its opening is called off', async () => {
  const server = await startFakeHttpServer({ version: 'silent' });
  closers.push(() => server.close());
  const opener = createHttpOpener({ url: server.url, clientInfo: CLIENT, schedule });
  closers.push(() => opener.close());
  await callOff(opener);
});

it('V2 an HTTP+SSE server that names no endpoint is given up when its opening is called off', async () => {
  const server = await startFakeHttpServer({
    intercept: (_request, response) => response.writeHead(200, { 'content-type': 'text/event-stream' }).write(':\n\n'),
  });
  closers.push(() => server.close());
  const opener = createSseOpener({ url: server.url, clientInfo: CLIENT, schedule });
  closers.push(() => opener.close());
  await callOff(opener);
});
