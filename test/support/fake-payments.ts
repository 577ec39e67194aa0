import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { toNodeHandler } from '@modelcontextprotocol/node';
import { createMcpHandler, McpServer } from '@modelcontextprotocol/server';
import { z } from 'zod';
import type { Estate } from './whole-gateway.ts';
import { makeEstate } from './whole-gateway.ts';

/** fake-payments: an MCP server over HTTP whose one tool notes what it paid; what reached it is what was done. Listed in docs/fakes.md. */
export interface FakePayments {
  readonly url: string;
  /** `amount to` of each payment, in order. */
  readonly paid: string[];
  close(): Promise<void>;
}

export async function startFakePayments(): Promise<FakePayments> {
  const paid: string[] = [];
  const handler = toNodeHandler(
    createMcpHandler(() => {
      const server = new McpServer({ name: 'payments', version: '1' });
      server.registerTool(
        'pay',
        { description: 'Pays.', inputSchema: z.object({ to: z.string(), amount: z.number() }) },
        ({ to, amount }) => {
          paid.push(`${amount} ${to}`);
          return { content: [{ type: 'text', text: `paid ${amount}` }] };
        },
      );
      server.registerTool('balance', { description: 'Tells.', inputSchema: z.object({}) }, () => ({
        content: [{ type: 'text', text: '42' }],
      }));
      return server;
    }),
  );
  const server = createServer((request, response) => void handler(request as Parameters<typeof handler>[0], response));
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/mcp`,
    paid,
    async close() {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

export const HOLD = `@id("all")
permit (principal, action, resource);
@id("money-moves") @step_up("expires=5m limit=3") @reason("Money moves.")
forbid (principal, action in Remit::Action::"financial", resource);
`;

/** A gateway over it where each payment waits for a person. */
export function makePaymentsEstate(
  payments: FakePayments,
  more: { port?: number; policy?: string; yaml?: string; secrets?: Record<string, string> } = {},
): Promise<Estate> {
  return makeEstate({
    ...(more.port !== undefined && { port: more.port }),
    ...(more.secrets !== undefined && { secrets: more.secrets }),
    policy: more.policy ?? HOLD,
    yaml: () => `${more.yaml ?? ''}connectors:
  bank:
    owner: dana@shop.example
    transport: { http: { url: "${payments.url}" } }
    tools:
      pay: { class: financial, arguments: { to: string, amount: long }, approvedBy: dana@shop.example }
      balance: { class: read, approvedBy: dana@shop.example }
templates:
  pay: { owner: dana@shop.example, purpose: pay the bills, agents: [scribe], classes: [read, financial], tools: ["bank/*"] }
`,
  });
}
