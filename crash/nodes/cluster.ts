import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { JWK } from 'jose';
import { stringify } from 'yaml';
import { runRemit } from '../../demo/run-remit.ts';
import { writeAgentKey } from '../../src/agent/agent-key.ts';
import { DATABASE } from '../downstream.ts';
import { type GatewayProcess, startGateway, THIS_PROGRAM } from '../gateway.ts';
import type { Network, NodePlace } from './network.ts';

const OWNER = 'crash@example.com';
export const AGENT = 'crash-one';

/** Calls that a task of the short template may make. */
export const SHORT_CALLS = 4;

/** Of the template for tasks that call as fast as they are answered: so many that the store counts some of them ahead. */
export const FAST_CALLS = 300;

/** One gateway of several: its own data folder, and its own place in the network. */
export interface ClusterNode {
  readonly name: string;
  /** Which of them, from 0. */
  readonly index: number;
  readonly url: string;
  readonly data: string;
  /** Of its administration. */
  readonly socket: string;
  process: GatewayProcess;
  /** @param program of which version; left out: the one that the cluster was made with */
  start(program?: string): GatewayProcess;
}

export interface Cluster {
  readonly nodes: readonly ClusterNode[];
  /** What every node calls itself, and tokens are for. */
  readonly issuer: string;
  readonly key: JWK;
  close(): Promise<void>;
}

export async function makeCluster(parts: {
  readonly count: number;
  readonly postgres: { readonly port: number; readonly password: string };
  readonly network: Network;
  /** URL of the store, without a way that could be cut. */
  readonly storeUrl: string;
  readonly toolsUrl: string;
  /** Of which version; left out: this one's. */
  readonly program?: string;
}): Promise<Cluster> {
  const { count, postgres, network, storeUrl, toolsUrl, program = THIS_PROGRAM } = parts;
  const folder = await mkdtemp(join(tmpdir(), 'remit-crash-nodes-'));
  const files = { privateKey: join(folder, 'agent.key.json'), publicKeys: join(folder, 'agent.jwks.json') };
  await writeAgentKey(AGENT, files);
  await mkdir(join(folder, 'policies'));
  await writeFile(join(folder, 'policies', 'all.cedar'), '@id("all")\npermit (principal, action, resource);\n');
  const places = await Promise.all(Array.from({ length: count }, (_, index) => network.place(index, postgres.port)));
  const urls = places.map(({ host, port }) => `http://${host}:${port}`);
  const issuer = urls[0] as string;
  const nodes: ClusterNode[] = [];
  for (const [index, place] of places.entries()) {
    const variable = `REMIT_CRASH_NODES_${index}`;
    const own = new URL(storeUrl);
    own.hostname = place.store.host;
    own.port = String(place.store.port);
    process.env[variable] = own.href;
    const config = join(folder, `node-${index}.yaml`);
    const data = join(folder, `node-${index}`);
    await writeFile(config, stringify(estateOf({ place, issuer, variable, data, folder, toolsUrl })));
    if (index === 0) {
      await runRemit(['secret', 'init', '--config', config], undefined, 0, program);
      await runRemit(['secret', 'put', 'postgres_admin', '--config', config], postgres.password, 0, program);
    }
    const start = (version = program): GatewayProcess => {
      node.process = startGateway({ config, environment: {} }, version, place.within);
      return node.process;
    };
    const node = {
      name: `node ${index + 1}`,
      index,
      url: urls[index],
      data,
      socket: join(data, 'admin.sock'),
      start,
    } as ClusterNode;
    nodes.push(node);
  }
  for (const node of nodes) await node.start().serving;
  return {
    nodes,
    issuer,
    key: JSON.parse(await readFile(files.privateKey, 'utf8')) as JWK,
    async close() {
      await Promise.all(nodes.map((node) => node.process.stop()));
      await rm(folder, { recursive: true, force: true });
    },
  };
}

function estateOf(parts: {
  place: NodePlace;
  issuer: string;
  variable: string;
  data: string;
  folder: string;
  toolsUrl: string;
}): object {
  const { place, issuer, variable, data, folder, toolsUrl } = parts;
  const approvedBy = OWNER;
  const template = {
    owner: OWNER,
    purpose: 'be interrupted',
    agents: [AGENT],
    classes: ['read', 'write', 'export'],
    tools: ['effects/*'],
    resources: ['effects:public.orders'],
    maxDurationSeconds: 600,
  };
  return {
    version: 1,
    listen: { host: place.host, port: place.port },
    publicUrl: issuer,
    data,
    store: { kind: 'postgres', urlVariable: variable },
    node: { address: place.address },
    vaultKey: { kind: 'file', path: join(folder, 'vault.key') },
    agents: { [AGENT]: { owner: OWNER, publicKeys: 'agent.jwks.json' } },
    connectors: {
      effects: {
        owner: OWNER,
        protocol: 'legacy',
        timeoutSeconds: 10,
        transport: { http: { url: toolsUrl, allowPrivateNetwork: true } },
        tools: {
          bump: { class: 'write', source: { trust: 'trusted' }, approvedBy },
          mail: { class: 'read', dataClasses: ['personal'], source: { trust: 'untrusted' }, approvedBy },
          // Held for what its task has read, and for nothing else.
          send: { class: 'export', source: { trust: 'trusted' }, sink: 'external', approvedBy },
        },
        credential: {
          postgres: { ...place.downstream, database: DATABASE, adminUser: 'postgres', adminPassword: 'postgres_admin' },
          ttlSeconds: 20,
          inject: { headers: { 'x-user': '{username}', 'x-password': '{password}' } },
        },
      },
    },
    templates: {
      work: { ...template, calls: 1000 },
      short: { ...template, calls: SHORT_CALLS },
      fast: { ...template, calls: FAST_CALLS },
    },
  };
}
