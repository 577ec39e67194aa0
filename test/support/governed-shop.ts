/** A folder with a configuration, keys, policies and secrets for a gateway before a real PostgreSQL; for end-to-end tests. */
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { runRemit } from '../../demo/run-remit.ts';
import { readAgentKey, writeAgentKey } from '../../src/agent/agent-key.ts';
import { type Declaration, openTaskSession, type TaskSession } from '../../src/agent/task-session.ts';
import type { EmbeddedPostgres } from './embedded-postgres.ts';
import { runSql } from './shop-database.ts';

export interface GovernedShop {
  readonly folder: string;
  readonly config: string;
  open(gateway: string, declare?: Partial<Declaration>): Promise<TaskSession>;
  /** Leased roles that exist at the database now. */
  roles(): Promise<string[]>;
  remove(): Promise<void>;
}

export interface ShopOptions {
  readonly postgres: EmbeddedPostgres;
  /** Left out: SQLite. Otherwise the name of the environment variable with the store's URL. */
  readonly storeVariable?: string;
  /** Replaces the PostgreSQL MCP server's program. */
  readonly command?: readonly string[];
  readonly ttlSeconds?: number;
}

export const POSTGRES_SERVER = resolve('node_modules/@modelcontextprotocol/server-postgres/dist/index.js');

export async function makeGovernedShop(options: ShopOptions): Promise<GovernedShop> {
  const { postgres, ttlSeconds = 60 } = options;
  const folder = await mkdtemp(join(tmpdir(), 'remit-shop-'));
  const config = join(folder, 'remit.yaml');
  const command = [
    ...(options.command ?? [process.execPath, POSTGRES_SERVER]),
    `postgresql://127.0.0.1:${postgres.port}/shop`,
  ];
  await writeFile(
    config,
    `version: 1
listen: { port: 0 }
${options.storeVariable === undefined ? '' : `store: { kind: postgres, urlVariable: ${options.storeVariable} }`}
agents:
  helper: { owner: dana@example.com, publicKeys: helper.jwks.json }
connectors:
  shop_db:
    owner: dana@example.com
    timeoutSeconds: 20
    transport: { stdio: { command: ${JSON.stringify(command)} } }
    credential:
      postgres: { port: ${postgres.port}, database: shop, adminUser: postgres, adminPassword: shop_admin }
      ttlSeconds: ${ttlSeconds}
    tools:
      query: { class: read, arguments: { sql: string }, approvedBy: dana@example.com }
templates:
  orders:
    owner: dana@example.com
    purpose: look at orders
    agents: [helper]
    classes: [read]
    tools: [shop_db/query]
    resources: ["shop_db:public.orders"]
    calls: 20
`,
  );
  await mkdir(join(folder, 'policies'));
  await writeFile(
    join(folder, 'policies', 'shop.cedar'),
    '@id("helper-reads")\npermit (principal == Remit::Agent::"helper", action in [Remit::Action::"discover", Remit::Action::"read"], resource);\n',
  );
  await writeAgentKey('helper', {
    privateKey: join(folder, 'helper.key.json'),
    publicKeys: join(folder, 'helper.jwks.json'),
  });
  await runRemit(['secret', 'init', '--config', config]);
  await runRemit(['secret', 'put', 'shop_admin', '--config', config], postgres.password);
  return {
    folder,
    config,
    open: async (gateway, declare = {}) =>
      openTaskSession({
        gateway,
        agent: 'helper',
        key: await readAgentKey(join(folder, 'helper.key.json')),
        task: { declare: { template: 'orders', ...declare } },
        clock: Date.now,
      }),
    roles: async () =>
      (await runSql(postgres, "SELECT rolname FROM pg_roles WHERE rolname LIKE 'remit\\_%' ORDER BY 1")).map((row) =>
        String(row.rolname),
      ),
    remove: () => rm(folder, { recursive: true, force: true }),
  };
}

/** One `tools/call` as a client would send it. */
export async function callTool(
  session: TaskSession,
  name: string,
  args: object,
  options: { token?: string; signal?: AbortSignal } = {},
): Promise<{
  status: number;
  body: { result?: { isError?: boolean; content?: { text?: string }[] }; error?: { code: number; message: string } };
}> {
  const response = await fetch(session.mcpUrl, {
    method: 'POST',
    headers: {
      'content-type': 'application/json',
      accept: 'application/json, text/event-stream',
      authorization: `Bearer ${options.token ?? (await session.token())}`,
    },
    body: JSON.stringify({ jsonrpc: '2.0', id: 1, method: 'tools/call', params: { name, arguments: args } }),
    ...(options.signal && { signal: options.signal }),
  });
  return { status: response.status, body: (await response.json()) as never };
}

/** Waits for a condition, looking again and again, and fails with what was seen last. */
export async function eventually<T>(
  what: string,
  look: () => Promise<T> | T,
  holds: (seen: T) => boolean,
  withinMs = 20_000,
): Promise<T> {
  const until = Date.now() + withinMs;
  for (;;) {
    const seen = await look();
    if (holds(seen)) return seen;
    if (Date.now() > until) throw new Error(`${what}: not within ${withinMs} ms; last seen: ${JSON.stringify(seen)}`);
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}
