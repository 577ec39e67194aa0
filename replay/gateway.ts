import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { JWK } from 'jose';
import { Pool } from 'undici';
import { stringify } from 'yaml';
import { runRemit } from '../demo/run-remit.ts';
import { writeAgentKey } from '../src/agent/agent-key.ts';
import { type Declaration, openTaskSession } from '../src/agent/task-session.ts';
import { callAdmin } from '../src/cli/admin-client.ts';
import { startGateway } from '../src/compose/start-gateway.ts';
import { createSystem } from '../src/compose/system.ts';
import { openWorkspace } from '../src/compose/workspace.ts';

/** What came of a call. */
export interface CallAnswer {
  readonly verdict: 'permit' | 'deny' | 'step_up';
  readonly policies: readonly string[];
  readonly reason: string;
  /** Of a held call: what a person may approve. */
  readonly approval?: string;
  /** A person has approved it, and the same call, made again, came through. */
  readonly isLifted?: boolean;
}

export interface ReplayTask {
  call(tool: string, args: object): Promise<CallAnswer>;
  end(): Promise<void>;
}

export interface ReplayGateway {
  openTask(declaration: Declaration): Promise<ReplayTask>;
  /** As the operator does who runs `remit approve ID`. */
  approve(id: string): Promise<void>;
  close(): Promise<void>;
}

const HEADERS = { 'content-type': 'application/json', accept: 'application/json, text/event-stream' };

/** Agents may do what their task covers: what more is decided is up to flow. */
const OPEN: ReplayPolicies = [
  { path: 'replay.cedar', text: '@id("within-the-task")\npermit (principal, action, resource);\n' },
];

interface Answer {
  readonly error?: { readonly message: string };
  readonly result?: {
    readonly _meta?: { readonly 'io.remit/decision'?: CallAnswer; readonly 'io.remit/problem'?: unknown };
  };
}

/** Another folder of policies than the one that permits whatever the task covers. */
export type ReplayPolicies = readonly { readonly path: string; readonly text: string }[];

/** The whole gateway in this process: its own folder, journal, store, policies and keys; agents and connectors over HTTP. */
export async function openReplayGateway(config: object, policies: ReplayPolicies = OPEN): Promise<ReplayGateway> {
  const folder = await mkdtemp(join(tmpdir(), 'remit-replay-'));
  const path = join(folder, 'remit.yaml');
  await writeFile(path, stringify(config, { aliasDuplicateObjects: false }));
  await mkdir(join(folder, 'policies'));
  for (const { path: name, text } of policies) await writeFile(join(folder, 'policies', name), text);
  const privateKey = join(folder, 'replay.key.json');
  await writeAgentKey('replay', { privateKey, publicKeys: join(folder, 'replay.jwks.json') });
  await runRemit(['secret', 'init', '--config', path]);
  const workspace = await openWorkspace(path, createSystem({ log: 'json', level: 'error' }));
  const gateway = await startGateway(workspace, 'replay');
  if (gateway.problems.length > 0) throw new Error(gateway.problems.join('; '));
  const pool = new Pool(gateway.url, { connections: 1, pipelining: 1 });
  const key = JSON.parse(await readFile(privateKey, 'utf8')) as JWK;

  return {
    async openTask(declaration) {
      const session = await openTaskSession({
        gateway: gateway.url,
        agent: 'replay',
        key,
        task: { declare: declaration },
        clock: Date.now,
      });
      const headers = { ...HEADERS, authorization: `Bearer ${await session.token()}` };
      let id = 0;
      return {
        async call(tool, args) {
          id += 1;
          const body = JSON.stringify({
            jsonrpc: '2.0',
            id,
            method: 'tools/call',
            params: { name: tool, arguments: args },
          });
          const response = await pool.request({ method: 'POST', path: '/mcp', headers, body });
          const text = await response.body.text();
          if (response.statusCode !== 200) throw new Error(`HTTP ${response.statusCode}: ${text.slice(0, 300)}`);
          return readAnswer(JSON.parse(text) as Answer);
        },
        end: () => session.end(),
      };
    },
    async approve(id) {
      await callAdmin(workspace.places.socket, 'approve', { id, reason: 'replay' });
    },
    async close() {
      await pool.close();
      await gateway.close();
      await workspace.close();
      await rm(folder, { recursive: true, force: true });
    },
  };
}

function readAnswer({ error, result }: Answer): CallAnswer {
  const decision = result?._meta?.['io.remit/decision'];
  if (decision !== undefined) return decision;
  // Whatever else kept the call from its connector would count as stopped, and is a fault of this program or of the gateway instead.
  if (error !== undefined) throw new Error(error.message);
  if (result?._meta?.['io.remit/problem'] !== undefined) throw new Error(JSON.stringify(result));
  return { verdict: 'permit', policies: [], reason: '' };
}
