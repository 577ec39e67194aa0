import { once } from 'node:events';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterEach, describe, expect, it } from 'vitest';
import { startProcesses } from '../../conformance/start-processes.ts';

let server: Server | undefined;
afterEach(() => {
  server?.closeAllConnections();
  server?.close();
});

interface Call {
  readonly method: string;
  readonly params: { readonly name: string; readonly _meta: Readonly<Record<string, unknown>> };
}

/** A server that answers call after call as it is told, and keeps them. */
async function start(answer: (nth: number) => object): Promise<{ url: string; calls: Call[]; most: () => number }> {
  const calls: Call[] = [];
  let open = 0;
  let most = 0;
  server = createServer(async (request, response) => {
    open += 1;
    most = Math.max(most, open);
    let text = '';
    for await (const chunk of request) text += String(chunk);
    calls.push(JSON.parse(text) as Call);
    response.setHeader('Content-Type', 'application/json');
    open -= 1;
    response.end(JSON.stringify({ jsonrpc: '2.0', id: 1, ...answer(calls.length) }));
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/mcp/stdio`, calls, most: () => most };
}

describe('processes of the stdio fixture', () => {
  it('are started by one call for each of the capabilities that the suite is impatient with, one after the other', async () => {
    const { url, calls, most } = await start(() => ({ result: { content: [] } }));
    await startProcesses(url, '2026-07-28');
    expect(calls.map(({ params }) => params._meta['io.modelcontextprotocol/clientCapabilities'])).toEqual([
      {},
      { elicitation: {} },
    ]);
    expect(most()).toBe(1);
  });

  it('are of no scenario: the tools that the impatient checks call are not called', async () => {
    const { url, calls } = await start(() => ({ result: {} }));
    await startProcesses(url, '2026-07-28');
    expect(new Set(calls.map(({ method, params }) => `${method} ${params.name}`))).toEqual(
      new Set(['tools/call test_simple_text']),
    );
  });

  it('must all have answered: where one has not, there is no run', async () => {
    const { url } = await start((nth) =>
      nth === 1 ? { result: {} } : { error: { code: -32000, message: 'no start' } },
    );
    await expect(startProcesses(url, '2026-07-28')).rejects.toThrow('could not be started: 200');
  });
});
