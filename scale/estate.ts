import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { JWK } from 'jose';
import { stringify } from 'yaml';
import { type Started, startNode } from '../bench/processes.ts';
import { runRemit } from '../demo/run-remit.ts';
import { freePort } from '../harness/service.ts';
import { type HeldTask, requestTaskToken } from '../harness/task-token.ts';
import { writeAgentKey } from '../src/agent/agent-key.ts';

const OWNER = 'scale@example.com';

export interface EstateSize {
  readonly agents: number;
  /** In connectors of at most 200. */
  readonly tools: number;
  readonly policies: number;
}

export const SMALL: EstateSize = { agents: 1, tools: 10, policies: 10 };
const TOOLS_A_CONNECTOR = 200;
/** An agent may have a hundred tasks at a time. */
export const SESSIONS_A_TASK = 100;

export interface ScaleNode extends Started {
  /** Its own, whichever the public one is. */
  readonly url: string;
  readonly socket: string;
}

export interface ScaleEstate {
  readonly nodes: readonly ScaleNode[];
  /** Starts a task at a node, whose own it is. */
  openTask(index: number): Promise<HeldTask>;
  close(): Promise<void>;
}

/** What it is called by clients: the first tool of the first connector. */
export const TOOL = 'c0__tool_0';

/** So many gateways; several of them on one PostgreSQL, which `storeUrl` gives each its way to. */
export async function makeEstate(parts: {
  readonly count: number;
  readonly size: EstateSize;
  readonly toolsPort: number;
  readonly storeUrl?: (index: number) => string;
  readonly core?: number;
}): Promise<ScaleEstate> {
  const { count, size, toolsPort, storeUrl, core } = parts;
  const folder = await mkdtemp(join(tmpdir(), 'remit-scale-'));
  const key = { privateKey: join(folder, 'agent.key.json'), publicKeys: join(folder, 'agent.jwks.json') };
  await writeAgentKey('agent-0', key);
  await mkdir(join(folder, 'policies'));
  await writeFile(join(folder, 'policies', 'scale.cedar'), policiesOf(size));
  const ports = await Promise.all(Array.from({ length: count }, () => freePort()));
  const nodes: ScaleNode[] = [];
  const close = async (): Promise<void> => {
    await Promise.all(nodes.map((node) => node.stop()));
    await rm(folder, { recursive: true, force: true });
  };
  try {
    for (const [index, port] of ports.entries()) {
      const config = join(folder, `node-${index}.yaml`);
      const data = join(folder, `node-${index}`);
      const variable = `REMIT_SCALE_${port}`;
      if (storeUrl !== undefined) process.env[variable] = storeUrl(index);
      const estate = {
        version: 1,
        listen: { port },
        publicUrl: `http://127.0.0.1:${ports[0]}`,
        data,
        ...(storeUrl !== undefined && { store: { kind: 'postgres', urlVariable: variable } }),
        vaultKey: { kind: 'file', path: join(folder, 'vault.key') },
        agents: Object.fromEntries(
          Array.from({ length: size.agents }, (_, at) => [
            `agent-${at}`,
            { owner: OWNER, publicKeys: 'agent.jwks.json' },
          ]),
        ),
        sessions: { perTask: SESSIONS_A_TASK, perAgent: 10_000 },
        connectors: connectorsOf(size, toolsPort),
        templates: {
          work: {
            owner: OWNER,
            purpose: 'measure',
            agents: ['agent-0'],
            classes: ['read'],
            tools: ['c0/*'],
            calls: 1_000_000,
          },
        },
      };
      await writeFile(config, stringify(estate, { aliasDuplicateObjects: false }));
      if (index === 0) await runRemit(['secret', 'init', '--config', config]);
      const started = await startNode(['bin/remit.js', 'up', '--config', config, '--json', '--log-level', 'error'], {
        ...(core !== undefined && { core }),
      });
      nodes.push({ ...started, url: `http://127.0.0.1:${port}`, socket: join(data, 'admin.sock') });
    }
  } catch (error) {
    await close();
    throw error;
  }
  const jwk = JSON.parse(await readFile(key.privateKey, 'utf8')) as JWK;
  return {
    nodes,
    openTask: (index) =>
      requestTaskToken(
        { agent: 'agent-0', key: jwk, issuer: (nodes[0] as ScaleNode).url },
        (nodes[index] as ScaleNode).url,
        { template: 'work' },
      ),
    close,
  };
}

function connectorsOf({ tools }: EstateSize, toolsPort: number): Record<string, object> {
  const connectors: Record<string, object> = {};
  for (let from = 0, at = 0; from < tools; from += TOOLS_A_CONNECTOR, at++) {
    const count = Math.min(TOOLS_A_CONNECTOR, tools - from);
    connectors[`c${at}`] = {
      owner: OWNER,
      transport: { http: { url: `http://127.0.0.1:${toolsPort}/${at}/${count}` } },
      tools: Object.fromEntries(
        Array.from({ length: count }, (_, index) => [
          `tool_${index}`,
          { class: 'read', arguments: { value: 'string' }, approvedBy: OWNER },
        ]),
      ),
    };
  }
  return connectors;
}

/** One that permits, one that reads an argument of what is called, and others that are each about another tool. */
function policiesOf({ policies, tools }: EstateSize): string {
  const others = Array.from({ length: Math.max(0, policies - 2) }, (_, at) => {
    const index = tools <= 1 ? 0 : 1 + (at % (tools - 1));
    const tool = `c${Math.floor(index / TOOLS_A_CONNECTOR)}/tool_${index % TOOLS_A_CONNECTOR}`;
    return `@id("no-${at}")\nforbid (principal, action == Remit::Action::"${tool}", resource) when { context.args has value && context.args.value like "*secret*" };`;
  });
  return `@id("reads")
permit (principal == Remit::Agent::"agent-0", action in [Remit::Action::"discover", Remit::Action::"read"], resource);
@id("no-secrets")
forbid (principal, action == Remit::Action::"c0/tool_0", resource) when { context.args has value && context.args.value like "*secret*" };
${others.join('\n')}
`;
}
