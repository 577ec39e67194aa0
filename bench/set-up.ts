import { randomBytes } from 'node:crypto';
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { JWK } from 'jose';
import { runRemit } from '../demo/run-remit.ts';
import { writeAgentKey } from '../src/agent/agent-key.ts';
import { openTaskSession } from '../src/agent/task-session.ts';
import { callAdmin } from '../src/cli/admin-client.ts';
import { placesOf } from '../src/compose/workspace.ts';
import { loadConfig } from '../src/config/load-config.ts';
import { type BenchDatabase, startDatabase } from './database.ts';
import { MEASURED_CORE, OTHER_CORE, type Started, startNode } from './processes.ts';

/** What a part of the benchmark is given, and what it says. */
export interface Setting {
  readonly isQuick: boolean;
  /** Bearer token that the echo server wants. */
  readonly token: string;
  readonly backendOrigin: string;
  /** Where gateways have their stores, each a database of its own; undefined: in SQLite, in their folders. */
  readonly database: BenchDatabase | undefined;
  /** Stopped, and folders removed, when the benchmark ends. */
  readonly closers: (() => Promise<unknown>)[];
  readonly say: (text: string) => void;
}

export interface PartResult {
  /** For the last line. */
  readonly figure: string;
  /** What fell short, or could not be measured and should have been. */
  readonly short: readonly string[];
}

export interface PolicyCounts {
  readonly asked: number;
  readonly reused: number;
  readonly compiled: number;
}

export interface BenchGateway extends Started {
  readonly url: string;
  readonly folder: string;
  /** URL of its own database; undefined where its store is SQLite. */
  readonly storeUrl: string | undefined;
  /** Declares a task and gives the headers of a call under it. */
  openTask(): Promise<Record<string, string>>;
  /** How often Cedar was asked, an answer was given again, and a policy was evaluated in process; undefined when the gateway does not say. */
  policyCounts(): Promise<PolicyCounts | undefined>;
}

export const STORES = ['sqlite', 'postgres'] as const;

export async function openSetting(isQuick: boolean, store: (typeof STORES)[number] = 'sqlite'): Promise<Setting> {
  const token = randomBytes(24).toString('base64url');
  const backend = await startNode(['dist/bench/echo-backend.js', token], { core: OTHER_CORE });
  const database = store === 'postgres' ? await startDatabase(OTHER_CORE) : undefined;
  return {
    isQuick,
    token,
    backendOrigin: `http://127.0.0.1:${backend.ready.port}`,
    database,
    closers: [() => backend.stop(), async () => database?.stop()],
    say: (text) => void process.stdout.write(`${text}\n`),
  };
}

/**
 * A gateway of its own with one agent, one connector with two tools, and a policy for each that reads an argument; pinned to the core that is
 * measured. The policy on `asked` compares records, which only Cedar does.
 * @param more further top-level YAML of its configuration
 */
export async function startBenchGateway(
  setting: Setting,
  transport = httpTransport(setting),
  more = '',
): Promise<BenchGateway> {
  const folder = await mkdtemp(join(tmpdir(), 'remit-bench-'));
  setting.closers.push(() => rm(folder, { recursive: true, force: true }));
  const storeUrl = await setting.database?.create();
  const store = storeUrl === undefined ? '' : storeInDatabase(storeUrl);
  const config = await writeConfig(folder, transport, setting.token, `${more}${store}`);
  const gateway = await startNode(['bin/remit.js', 'up', '--config', config, '--json', '--log-level', 'error'], {
    core: MEASURED_CORE,
  });
  setting.closers.push(() => gateway.stop());
  const url = String(gateway.ready.url);
  const key = JSON.parse(await readFile(join(folder, 'bench.key.json'), 'utf8')) as JWK;
  const { socket } = placesOf(await loadConfig(config));
  return {
    ...gateway,
    url,
    folder,
    storeUrl,
    async openTask() {
      const session = await openTaskSession({
        gateway: url,
        agent: 'bench',
        key,
        task: { declare: { template: 'bench' } },
        clock: Date.now,
      });
      return { authorization: `Bearer ${await session.token()}` };
    },
    async policyCounts() {
      return (await callAdmin<{ policy?: PolicyCounts }>(socket, 'status')).policy;
    },
  };
}

let databases = 0;

/** A node among others then, if alone. The URL has a password: it goes by the environment, of this process and so of all that it starts. */
function storeInDatabase(url: string): string {
  const variable = `REMIT_BENCH_STORE_${databases++}`;
  process.env[variable] = url;
  return `store: { kind: postgres, urlVariable: ${variable} }\n`;
}

/** With a credential of the task's own: a token that the gateway signs for the server. */
function httpTransport({ backendOrigin }: Setting): string {
  return `    transport: { http: { url: "${backendOrigin}/mcp" } }
    credential:
      jwt: {}
      ttlSeconds: 3600`;
}

/** With one secret for all, as an exception allows it: each use is on record beside the call, and what was done with it. */
export function sharedSecretTransport({ backendOrigin }: Setting): string {
  return `    transport: { http: { url: "${backendOrigin}/mcp" } }
    credential:
      static: { secret: echo_token, exception: { owner: bench@example.com, reason: benchmark, expires: "2099-01-01T00:00:00Z", controls: { tools: [echo, asked], callsPerMinute: 1000000, callsPerMinutePerTask: 1000000 } } }
      ttlSeconds: 3600`;
}

async function writeConfig(folder: string, transport: string, token: string, more: string): Promise<string> {
  const config = join(folder, 'remit.yaml');
  await writeFile(
    config,
    `version: 1
listen: { port: 0 }
agents:
  bench: { owner: bench@example.com, publicKeys: bench.jwks.json }
connectors:
  echo:
    owner: bench@example.com
${transport}
    tools:
      echo: { class: read, arguments: { value: string }, approvedBy: bench@example.com }
      asked: { class: read, arguments: { value: string }, approvedBy: bench@example.com }
templates:
  bench: { owner: bench@example.com, purpose: measure, agents: [bench], classes: [read], tools: [echo/echo, echo/asked], calls: 1000000 }
${more}`,
  );
  await mkdir(join(folder, 'policies'));
  await writeFile(
    join(folder, 'policies', 'bench.cedar'),
    `@id("bench-reads")
permit (principal == Remit::Agent::"bench", action in [Remit::Action::"discover", Remit::Action::"read"], resource);
@id("no-secrets")
forbid (principal, action == Remit::Action::"echo/echo", resource) when { context.args.value like "*secret*" };
@id("no-secret-record")
forbid (principal, action == Remit::Action::"echo/asked", resource) when { {value: context.args.value} == {value: "secret"} };
`,
  );
  await writeAgentKey('bench', {
    privateKey: join(folder, 'bench.key.json'),
    publicKeys: join(folder, 'bench.jwks.json'),
  });
  await runRemit(['secret', 'init', '--config', config]);
  await runRemit(['secret', 'put', 'echo_token', '--config', config], token);
  return config;
}
