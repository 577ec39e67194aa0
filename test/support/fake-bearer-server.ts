/**
 * FAKE: stands for MCP servers of others over Streamable HTTP that take tokens and look at each of them, at every request. Made with the
 * official SDK, both eras; what a token is worth is the test's to say. Never a part of the product.
 */
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { toNodeHandler } from '@modelcontextprotocol/node';
import { createMcpHandler, McpServer } from '@modelcontextprotocol/server';
import { z } from 'zod';

export interface FakeBearerServer {
  readonly url: string;
  /** What came with calls that were served, in order. */
  readonly calls: readonly { readonly tool: string; readonly token: string }[];
  /** Why requests were refused, in order. */
  readonly refusals: readonly string[];
  close(): Promise<void>;
}

/**
 * Decides about a request. @param tool undefined for whatever is no call
 * @throws what is wrong with the token
 */
export type Admit = (token: string, tool: string | undefined) => Promise<void>;

/** Its tools are `look`, which says what it was asked, and `tell`, which tells the caller its own token. */
export async function startFakeBearerServer(name: string, admit: Admit): Promise<FakeBearerServer> {
  const calls: { tool: string; token: string }[] = [];
  const refusals: string[] = [];
  const server = createServer((request, response) => {
    const chunks: Buffer[] = [];
    request.on('data', (chunk: Buffer) => chunks.push(chunk));
    request.on('end', () => {
      const token = /^Bearer (.+)$/.exec(request.headers.authorization ?? '')?.[1] ?? '';
      const text = Buffer.concat(chunks).toString();
      const message = text === '' ? undefined : (JSON.parse(text) as { method?: string; params?: { name?: string } });
      const tool = message?.method === 'tools/call' ? message.params?.name : undefined;
      admit(token, tool).then(
        () => {
          if (tool !== undefined) calls.push({ tool, token });
          void serve(token)(request as never, response, message);
        },
        (error: Error) => {
          refusals.push(error.message);
          response.writeHead(401, { 'WWW-Authenticate': 'Bearer error="invalid_token"' }).end();
        },
      );
    });
  });

  const serve = (token: string) =>
    toNodeHandler(
      createMcpHandler(() => {
        const mcp = new McpServer({ name, version: '1.0.0' });
        const inputSchema = z.object({ id: z.string() });
        mcp.registerTool('look', { description: 'Looks one up.', inputSchema }, ({ id }) => ({
          content: [{ type: 'text', text: `${name} has ${id}` }],
        }));
        mcp.registerTool('tell', { description: 'Careless.', inputSchema }, () => ({
          content: [{ type: 'text', text: `you came with ${token}` }],
        }));
        return mcp;
      }),
    );

  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(0, '127.0.0.1', resolve);
  });
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/mcp`,
    calls,
    refusals,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}
