import { Client } from '@modelcontextprotocol/client';
import { StdioClientTransport } from '@modelcontextprotocol/client/stdio';
import type { ToolResult } from './agent.ts';
import type { DemoEstate } from './estate.ts';

/** Roles that leases made, and until when they may log in. */
export async function leasedRoles(estate: DemoEstate): Promise<{ name: string; until: string }[]> {
  const roles = await estate.admin.query(
    "SELECT rolname AS name, rolvaliduntil::text AS until FROM pg_roles WHERE rolname LIKE 'remit\\_%' AND rolname <> 'remit_admin'",
  );
  return roles.rows as { name: string; until: string }[];
}

/** The same server without Remit, as it is usually run: with an account of its own in its arguments. */
export async function callDirectly(estate: DemoEstate, sql: string): Promise<void> {
  const transport = new StdioClientTransport({
    command: process.execPath,
    args: [`${estate.modules}/@modelcontextprotocol/server-postgres/dist/index.js`, estate.postgres.url('shop')],
    stderr: 'ignore',
  });
  const client = new Client({ name: 'direct', version: '1.0.0' });
  await client.connect(transport);
  // Two statements give a reply without text, which the SDK does not accept; what counts is what the database now holds.
  await client.callTool({ name: 'query', arguments: { sql } }).catch(() => {});
  await client.close();
}

/** The SDK throws JSON-RPC errors of the server: they are part of the story here. */
export function failure(error: Error): ToolResult {
  return { isError: true, content: [{ type: 'text', text: error.message }] };
}
