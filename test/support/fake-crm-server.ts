/**
 * fake-crm: a small customer-relations MCP server over Streamable HTTP that refuses every request without its bearer token. It stands for a
 * SaaS connector with a static API token; listed in docs/fakes.md. Made with the official SDK, both protocol eras.
 */
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { toNodeHandler } from '@modelcontextprotocol/node';
import { createMcpHandler, McpServer } from '@modelcontextprotocol/server';
import { z } from 'zod';

export interface FakeCrm {
  readonly url: string;
  /** Requests that came with the right token. */
  readonly accepted: () => number;
  /** Requests that were refused with 401. */
  readonly refused: () => number;
  close(): Promise<void>;
}

const CUSTOMERS: Readonly<Record<string, { name: string; tier: string }>> = {
  '1': { name: 'Amara Okafor', tier: 'gold' },
  '2': { name: 'Bruno Lindqvist', tier: 'silver' },
};

export async function startFakeCrm(options: { token: string; port?: number }): Promise<FakeCrm> {
  let accepted = 0;
  let refused = 0;
  const handler = toNodeHandler(
    createMcpHandler(
      () => {
        const server = new McpServer({ name: 'fake-crm', version: '1.0.0' });
        server.registerTool(
          'get_customer',
          { description: 'Look up one customer by id.', inputSchema: z.object({ id: z.string() }) },
          ({ id }) => ({ content: [{ type: 'text', text: JSON.stringify(CUSTOMERS[id] ?? null) }] }),
        );
        server.registerTool(
          'add_note',
          { description: 'Add a note to a customer.', inputSchema: z.object({ id: z.string(), text: z.string() }) },
          ({ id }) => ({ content: [{ type: 'text', text: `note added to customer ${id}` }] }),
        );
        server.registerTool(
          'delete_customer',
          { description: 'Delete a customer and all that belongs to it.', inputSchema: z.object({ id: z.string() }) },
          ({ id }) => ({ content: [{ type: 'text', text: `customer ${id} deleted` }] }),
        );
        return server;
      },
      { legacy: 'stateless' },
    ),
  );
  const server = createServer((request, response) => {
    if (request.headers.authorization !== `Bearer ${options.token}`) {
      refused += 1;
      response.writeHead(401, { 'WWW-Authenticate': 'Bearer' }).end();
      return;
    }
    accepted += 1;
    void handler(request as Parameters<typeof handler>[0], response);
  });
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(options.port ?? 0, '127.0.0.1', resolve);
  });
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/mcp`,
    accepted: () => accepted,
    refused: () => refused,
    async close() {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}
