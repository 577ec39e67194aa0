import { readFile } from 'node:fs/promises';
import { Client, StreamableHTTPClientTransport } from '@modelcontextprotocol/client';
import type { JWK } from 'jose';
import { type Declaration, openTaskSession, type TaskSession } from '../src/agent/task-session.ts';

export interface ToolResult {
  readonly isError?: boolean;
  readonly content: readonly { readonly type: string; readonly text?: string }[];
  readonly _meta?: Readonly<Record<string, unknown>>;
}

/** An agent made with the official client SDK: it has a key of its own, a task, and nothing else. */
export interface DemoAgent {
  readonly session: TaskSession;
  readonly client: Client;
  call(name: string, args: Record<string, unknown>): Promise<ToolResult>;
  /** Every byte that came back from the gateway: what the agent, and so the model, could have seen. */
  readonly received: () => string;
  close(): Promise<void>;
}

export async function startAgent(options: {
  gateway: string;
  keyFile: string;
  declare: Declaration;
  subjectToken?: string;
}): Promise<DemoAgent> {
  const key = JSON.parse(await readFile(options.keyFile, 'utf8')) as JWK;
  const session = await openTaskSession({
    gateway: options.gateway,
    agent: 'shop-helper',
    key,
    task: { declare: options.declare },
    ...(options.subjectToken !== undefined && { subjectToken: options.subjectToken }),
    clock: Date.now,
  });
  let received = '';
  const transport = new StreamableHTTPClientTransport(new URL(session.mcpUrl), {
    authProvider: { token: () => session.token() },
    fetch: async (url, init) => {
      const response = await fetch(url, init);
      received += `${[...response.headers].join('\n')}\n${await response.clone().text()}\n`;
      return response;
    },
  });
  const client = new Client({ name: 'shop-helper', version: '1.0.0' });
  await client.connect(transport);
  return {
    session,
    client,
    call: async (name, args) => (await client.callTool({ name, arguments: args })) as ToolResult,
    received: () => received,
    close: () => client.close(),
  };
}

export function textOf(result: ToolResult): string {
  return result.content.map((part) => part.text ?? '').join('\n');
}
