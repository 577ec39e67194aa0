import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';

/** A server of 2026-07-28 alone over HTTP, with the tools `slow` (until it is called off) and `ask`, and whichever a test adds. */
export interface FakeToolsServer {
  readonly url: string;
  /** What it was sent, in order. */
  readonly heard: { readonly method: string; readonly params: Record<string, unknown> }[];
  /** Calls whose stream was closed before they had their reply. */
  readonly cutOff: unknown[];
  close(): Promise<void>;
}

const requestedSchema = { type: 'object', properties: { name: { type: 'string' } }, required: ['name'] };

/** @param more tools that answer with a text, by name */
export async function startFakeToolsServer(
  more: Readonly<Record<string, (args: Readonly<Record<string, unknown>>) => string | Promise<string>>> = {},
): Promise<FakeToolsServer> {
  const tools = ['slow', 'ask', ...Object.keys(more)].map((name) => ({
    name,
    description: name,
    inputSchema: { type: 'object' },
  }));
  const heard: FakeToolsServer['heard'] = [];
  const cutOff: unknown[] = [];
  const server = createServer((request, response) => {
    const chunks: Buffer[] = [];
    request.on('data', (chunk: Buffer) => chunks.push(chunk));
    request.on('end', () => {
      const text = Buffer.concat(chunks).toString();
      const { id, method, params } = JSON.parse(text === '' ? '{}' : text);
      heard.push({ method, params });
      const reply = (result: object): void => {
        response
          .writeHead(200, { 'Content-Type': 'application/json' })
          .end(JSON.stringify({ jsonrpc: '2.0', id, result: { resultType: 'complete', ...result } }));
      };
      switch (method) {
        case 'server/discover':
          return reply({
            supportedVersions: ['2026-07-28'],
            capabilities: { tools: {} },
            ttlMs: 0,
            cacheScope: 'private',
          });
        case 'tools/list':
          return reply({ tools, ttlMs: 0, cacheScope: 'private' });
        case 'tools/call':
          response.on('close', () => {
            if (!response.writableFinished) cutOff.push(id);
          });
          if (params.name === 'slow') return;
          if (more[params.name] !== undefined) {
            const said = more[params.name]?.(params.arguments ?? {});
            if (!(said instanceof Promise)) return reply({ content: [{ type: 'text', text: said }] });
            return void said.then((text) => reply({ content: [{ type: 'text', text }] }));
          }
          if (params.inputResponses !== undefined) {
            const said = `${params.requestState}: ${JSON.stringify(params.inputResponses.who)}`;
            return reply({ content: [{ type: 'text', text: said }] });
          }
          return reply({
            resultType: 'input_required',
            requestState: 'its own state',
            inputRequests: {
              who: {
                method: 'elicitation/create',
                params: { mode: 'form', message: 'Who is there?', requestedSchema },
              },
            },
          });
        default:
          response
            .writeHead(404, { 'Content-Type': 'application/json' })
            .end(JSON.stringify({ jsonrpc: '2.0', id: id ?? null, error: { code: -32601, message: 'not found' } }));
      }
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/mcp`,
    heard,
    cutOff,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}
