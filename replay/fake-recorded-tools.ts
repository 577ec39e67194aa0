/**
 * FAKE: stands for the MCP servers behind recorded calls. Lists the definitions of a suite and answers a call with the result that was recorded
 * for it, whatever its arguments. Never a part of the product.
 */

import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { answerHandshake, METHOD_NOT_FOUND } from '../harness/answer-handshake.ts';
import type { RecordedCall, ToolDefinition } from './corpus.ts';

export interface FakeRecordedTools {
  readonly url: string;
  /** What the next call is answered with; taken by it. */
  expect(call: RecordedCall): void;
  /** Whether a call has come since. */
  readonly wasCalled: boolean;
  close(): Promise<void>;
}

interface Message {
  readonly id?: unknown;
  readonly method: string;
  readonly params?: { readonly protocolVersion?: string; readonly name?: string };
}

export async function startFakeRecordedTools(definitions: readonly ToolDefinition[]): Promise<FakeRecordedTools> {
  let next: RecordedCall | undefined;
  const tools = definitions.map(({ name, description, inputSchema }) => ({
    name,
    description,
    inputSchema: inputSchema ?? { type: 'object' },
  }));

  function answer({ method, params }: Message): object {
    const handshake = answerHandshake('fake-recorded-tools', method, params?.protocolVersion);
    if (handshake !== undefined) return handshake;
    switch (method) {
      case 'tools/list':
        return { result: { tools } };
      case 'tools/call': {
        const call = next;
        next = undefined;
        if (call === undefined || call.tool !== params?.name)
          return { error: { code: -32603, message: 'nothing recorded' } };
        return { result: resultOf(call) };
      }
      default:
        return METHOD_NOT_FOUND;
    }
  }

  const server = createServer((request, response) => {
    if (request.method !== 'POST') {
      request.resume();
      response.writeHead(405).end();
      return;
    }
    const chunks: Buffer[] = [];
    request.on('data', (chunk: Buffer) => chunks.push(chunk));
    request.on('end', () => {
      const message = JSON.parse(Buffer.concat(chunks).toString()) as Message;
      if (message.id === undefined) {
        response.writeHead(202).end();
        return;
      }
      const body = JSON.stringify({ jsonrpc: '2.0', id: message.id, ...answer(message) });
      response.writeHead(200, { 'Content-Type': 'application/json' }).end(body);
    });
  });
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(0, '127.0.0.1', resolve);
  });
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/mcp`,
    expect(call) {
      next = call;
    },
    get wasCalled() {
      return next === undefined;
    },
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}

function resultOf({ result, error }: RecordedCall): object {
  if (error !== null && error !== undefined) return { content: [{ type: 'text', text: String(error) }], isError: true };
  return { content: [{ type: 'text', text: typeof result === 'string' ? result : JSON.stringify(result ?? '') }] };
}
