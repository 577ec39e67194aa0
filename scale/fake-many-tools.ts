/**
 * fake-many-tools: an MCP server over Streamable HTTP (2025-11-25) with as many tools on each path as that says (`/3/200`: number 3, 200 tools), which
 * answers as cheaply as Node can. Prints its port. Listed in docs/fakes.md.
 */
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { answerHandshake, METHOD_NOT_FOUND } from '../harness/answer-handshake.ts';

const FILLER = 'x'.repeat(200);

const server = createServer((request, response) => {
  if (request.method !== 'POST') return void response.writeHead(405).end();
  const chunks: Buffer[] = [];
  request.on('data', (chunk: Buffer) => chunks.push(chunk));
  request.on('end', () => {
    const { id, method, params } = JSON.parse(Buffer.concat(chunks).toString());
    if (id === undefined) return void response.writeHead(202).end();
    const count = Number((request.url ?? '').split('/')[2] ?? 1);
    const body = JSON.stringify({ jsonrpc: '2.0', id, ...answer(method, params, count) });
    response
      .writeHead(200, { 'Content-Type': 'application/json', 'Content-Length': Buffer.byteLength(body) })
      .end(body);
  });
});
server.keepAliveTimeout = 60_000;

function answer(
  method: string,
  params: { protocolVersion?: string; arguments?: { value?: string } } | undefined,
  count: number,
): object {
  const handshake = answerHandshake('fake-many-tools', method, params?.protocolVersion);
  if (handshake !== undefined) return handshake;
  if (method === 'tools/call') {
    return { result: { content: [{ type: 'text', text: `${params?.arguments?.value} ${FILLER}` }] } };
  }
  return method === 'tools/list'
    ? { result: { tools: Array.from({ length: count }, (_, at) => tool(at)) } }
    : METHOD_NOT_FOUND;
}

const tool = (at: number): object => ({
  name: `tool_${at}`,
  description: 'Echo a value.',
  inputSchema: { type: 'object', properties: { value: { type: 'string' }, call: { type: 'string' } } },
});

server.listen(0, '127.0.0.1', () => {
  process.stdout.write(`{"port":${(server.address() as AddressInfo).port}}\n`);
});
