/**
 * A raw Streamable-HTTP MCP server that answers as cheaply as Node can: initialize, tools/list, and an echo of about 300 bytes. Wants a
 * bearer token, like a real SaaS connector. Prints its port.
 */
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';

const TOKEN = process.argv[2] ?? '';
const FILLER = 'x'.repeat(200);

const server = createServer((request, response) => {
  if (request.headers.authorization !== `Bearer ${TOKEN}`) {
    response.writeHead(401).end();
    return;
  }
  if (request.method !== 'POST') {
    response.writeHead(405).end();
    return;
  }
  const chunks: Buffer[] = [];
  request.on('data', (chunk: Buffer) => chunks.push(chunk));
  request.on('end', () => {
    const message = JSON.parse(Buffer.concat(chunks).toString()) as {
      id?: unknown;
      method: string;
      params?: { protocolVersion?: string; arguments?: { value?: string } };
    };
    if (message.id === undefined) {
      response.writeHead(202).end();
      return;
    }
    const body = JSON.stringify({ jsonrpc: '2.0', id: message.id, result: answer(message) });
    response
      .writeHead(200, { 'Content-Type': 'application/json', 'Content-Length': Buffer.byteLength(body) })
      .end(body);
  });
});

function answer(message: {
  method: string;
  params?: { protocolVersion?: string; arguments?: { value?: string } };
}): object {
  switch (message.method) {
    case 'initialize':
      return {
        protocolVersion: message.params?.protocolVersion,
        capabilities: { tools: {} },
        serverInfo: { name: 'fake-echo', version: '1' },
      };
    case 'tools/list':
      return {
        tools: [
          {
            name: 'echo',
            description: 'Echo a value.',
            inputSchema: { type: 'object', properties: { value: { type: 'string' } }, required: ['value'] },
          },
        ],
      };
    default:
      return { content: [{ type: 'text', text: `${message.params?.arguments?.value ?? ''} ${FILLER}` }] };
  }
}

server.listen(0, '127.0.0.1', () => {
  process.stdout.write(`{"port":${(server.address() as AddressInfo).port}}\n`);
});
