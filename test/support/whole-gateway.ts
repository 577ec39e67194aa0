import { randomInt } from 'node:crypto';
import { mkdir, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { Client, type ClientOptions, StreamableHTTPClientTransport } from '@modelcontextprotocol/client';
import { createJournalReader } from '../../src/adapters/journal/journal-reader.ts';
import { readAgentKey, writeAgentKey } from '../../src/agent/agent-key.ts';
import { openTaskSession } from '../../src/agent/task-session.ts';
import { readNewest } from '../../src/audit/read-backwards.ts';
import { findGateway } from '../../src/cli/admin-client.ts';
import { placesOf } from '../../src/compose/workspace.ts';
import { loadConfig } from '../../src/config/load-config.ts';
import type { AuditRecord, RecordType } from '../../src/domain/record.ts';
import { makeFolder, run } from '../cli/remit.ts';

/**
 * What tests of a whole gateway share: a folder to start it from, tasks, clients of the official SDK, and its trail. Tasks and the trail are had as the command line has them, but
 * in this process: the commands have their own tests, and a process for each costs most of a second.
 */

export const exceptionFor = (...tools: readonly string[]): string =>
  `{ owner: dana@shop.example, reason: test, expires: "2099-01-01T00:00:00Z", controls: { tools: ${JSON.stringify(tools)}, callsPerMinute: 6000, callsPerMinutePerTask: 6000 } }`;

export interface Estate {
  readonly folder: string;
  readonly config: string;
}

export interface EstateParts {
  /** Of `remit.yaml` behind version, port and agents; told the folder. */
  readonly yaml: (folder: string) => string;
  readonly agents?: readonly string[];
  /** Cedar text; left out: every agent may do what its task covers. */
  readonly policy?: string;
  readonly secrets?: Readonly<Record<string, string>>;
  /** Left out: a free one at each start. Tokens are for the one port that they were made at. */
  readonly port?: number;
}

/** Writes a configuration with its agents’ keys, policies and secrets. */
export async function makeEstate(parts: EstateParts): Promise<Estate> {
  const { agents = ['scribe'], port = 0 } = parts;
  const folder = await makeFolder();
  const config = join(folder, 'remit.yaml');
  const named = agents.map((agent) => `  ${agent}: { owner: dana@shop.example, publicKeys: ${agent}.jwks.json }\n`);
  await writeFile(config, `version: 1\nlisten: { port: ${port} }\nagents:\n${named.join('')}${parts.yaml(folder)}`);
  await mkdir(join(folder, 'policies'));
  await writeFile(
    join(folder, 'policies', 'all.cedar'),
    parts.policy ?? '@id("within-the-task")\npermit (principal, action, resource);\n',
  );
  for (const agent of agents) {
    await writeAgentKey(agent, {
      privateKey: join(folder, '.remit', 'agents', `${agent}.key.json`),
      publicKeys: join(folder, `${agent}.jwks.json`),
    });
  }
  await run(['secret', 'init', '--config', config]);
  for (const [name, input] of Object.entries(parts.secrets ?? {})) {
    await run(['secret', 'put', name, '--config', config], { input });
  }
  return { folder, config };
}

/** Below the ports that systems give out by themselves: nobody is given it while a gateway is started, or killed and started again. */
const [FIRST_PORT, LAST_PORT] = [12_000, 31_999];

/** A port that is free, and stays so. */
export async function findPort(): Promise<number> {
  for (;;) {
    const port = randomInt(FIRST_PORT, LAST_PORT + 1);
    const server = createServer();
    const isFree = await new Promise<boolean>((resolve) => {
      server.once('error', () => resolve(false));
      server.listen(port, '127.0.0.1', () => resolve(true));
    });
    if (!isFree) continue;
    await new Promise((resolve) => server.close(resolve));
    return port;
  }
}

export interface OwnTask {
  readonly token: string;
  readonly task: string;
}

/** Starts a task of its own: `remit token` would go on with one that is under way. */
export async function takeTask({ config }: Estate, template: string, agent = 'scribe'): Promise<OwnTask> {
  const loaded = await loadConfig(config);
  const session = await openTaskSession({
    gateway: await findGateway(loaded, undefined),
    agent,
    key: await readAgentKey(placesOf(loaded).agentKey(agent)),
    task: { declare: { template } },
    clock: Date.now,
  });
  return { task: session.granted.task, token: await session.token() };
}

export type ClientEra = 'legacy' | 'modern';

/** A client of the official SDK, not connected yet. */
export function makeClient(era: ClientEra, options: ClientOptions = {}): Client {
  return new Client(
    { name: 'test', version: '1' },
    { ...options, versionNegotiation: era === 'modern' ? { mode: { pin: '2026-07-28' } } : { mode: 'legacy' } },
  );
}

export async function connectTo(
  client: Client,
  gateway: { url: string },
  token: string,
  path = '/mcp',
): Promise<Client> {
  const requestInit = { headers: { Authorization: `Bearer ${token}` } };
  await client.connect(new StreamableHTTPClientTransport(new URL(gateway.url + path), { requestInit }));
  return client;
}

/** The last records of some types. */
export async function recordsOf({ config }: Estate, ...types: readonly RecordType[]): Promise<AuditRecord[]> {
  const { journal } = placesOf(await loadConfig(config));
  const { records } = await readNewest(createJournalReader(journal), 1_000, { types });
  return JSON.parse(JSON.stringify(records)) as AuditRecord[];
}

export type Message = Readonly<Record<string, unknown>>;

/** A legacy session by hand, for what a proper client does not do. */
export interface RawSession {
  readonly id: string;
  post(message: Message, signal?: AbortSignal): Promise<Response>;
  /** @param lastEventId where to go on from, on a stream that was lost */
  get(lastEventId?: string): Promise<Response>;
}

export async function openRawSession(gateway: { url: string }, token: string): Promise<RawSession> {
  const shared = {
    Authorization: `Bearer ${token}`,
    'Content-Type': 'application/json',
    Accept: 'application/json, text/event-stream',
  };
  const url = `${gateway.url}/mcp`;
  const first = await fetch(url, {
    method: 'POST',
    headers: shared,
    body: JSON.stringify({
      jsonrpc: '2.0',
      id: 0,
      method: 'initialize',
      params: { protocolVersion: '2025-06-18', capabilities: {}, clientInfo: { name: 'raw', version: '1' } },
    }),
  });
  const text = await first.text();
  const id = first.headers.get('mcp-session-id');
  if (id === null) throw new Error(`no session: HTTP ${first.status} ${text}`);
  const headers = { ...shared, 'Mcp-Session-Id': id };
  const post = (message: Message, signal?: AbortSignal): Promise<Response> =>
    fetch(url, {
      method: 'POST',
      headers,
      body: JSON.stringify({ jsonrpc: '2.0', ...message }),
      ...(signal && { signal }),
    });
  await (await post({ method: 'notifications/initialized' })).text();
  return {
    id,
    post,
    get: (lastEventId) =>
      fetch(url, {
        headers: {
          ...headers,
          Accept: 'text/event-stream',
          ...(lastEventId !== undefined && { 'Last-Event-ID': lastEventId }),
        },
      }),
  };
}

export const toolCall = (id: number, name: string, args: Message = {}): Message => ({
  id,
  method: 'tools/call',
  params: { name, arguments: args },
});

/** Calls a tool under a task, without a session. @returns all of what came back */
export async function callUnder(
  { url }: { readonly url: string },
  { token }: OwnTask,
  name: string,
  args: Message = {},
): Promise<string> {
  const response = await fetch(`${url}/mcp`, {
    method: 'POST',
    headers: {
      Authorization: `Bearer ${token}`,
      'Content-Type': 'application/json',
      Accept: 'application/json, text/event-stream',
    },
    body: JSON.stringify({ jsonrpc: '2.0', ...toolCall(1, name, args) }),
  });
  return response.text();
}
