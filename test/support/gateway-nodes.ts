import { copyFile, mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { requestTaskToken } from '../../harness/task-token.ts';
import { readAgentKey } from '../../src/agent/agent-key.ts';
import { startUp, type Up } from '../cli/remit.ts';
import { type EmbeddedPostgres, startPostgres } from './embedded-postgres.ts';
import { type Estate, findPort, makeEstate, type OwnTask } from './whole-gateway.ts';

/** One node of several: its own data folder and port, everything else is shared. */
export interface NodeEstate extends Estate {
  readonly port: number;
}

export interface NodesEstate {
  readonly postgres: EmbeddedPostgres;
  readonly nodes: readonly NodeEstate[];
  start(index: number): Promise<Up>;
  /** A token of the token endpoint at one node, whichever the public one is: of a new task, or of one that runs. */
  token(index: number, details: Readonly<Record<string, unknown>>): Promise<OwnTask>;
  close(): Promise<void>;
}

export const STORE_VARIABLE = 'REMIT_TEST_NODES_STORE';

/** An estate that several gateways on one PostgreSQL serve, each from a folder of its own. */
export async function makeNodesEstate(
  count: number,
  parts: { yaml: string; agent?: string; secrets?: Readonly<Record<string, string>> },
): Promise<NodesEstate> {
  const { agent = 'scribe' } = parts;
  const postgres = await startPostgres({ fsync: false });
  process.env[STORE_VARIABLE] = postgres.url('postgres');
  const ports = await Promise.all(Array.from({ length: count }, () => findPort()));
  const first = await makeEstate({
    port: ports[0] as number,
    agents: [agent],
    ...(parts.secrets !== undefined && { secrets: parts.secrets }),
    yaml: (folder) => `publicUrl: http://127.0.0.1:${ports[0]}
store: { kind: postgres, urlVariable: ${STORE_VARIABLE} }
vaultKey: { kind: file, path: ${JSON.stringify(join(folder, 'vault.key'))} }
${parts.yaml}`,
  });
  const text = await readFile(first.config, 'utf8');
  const nodes: NodeEstate[] = [];
  for (const [index, port] of ports.entries()) {
    const config = index === 0 ? first.config : join(first.folder, `node-${index}.yaml`);
    if (index > 0) {
      await writeFile(config, `${text.replace(`port: ${ports[0]} }`, `port: ${port} }`)}data: .node-${index}\n`);
      await mkdir(join(first.folder, `.node-${index}`, 'agents'), { recursive: true });
      const key = join('agents', `${agent}.key.json`);
      await copyFile(join(first.folder, '.remit', key), join(first.folder, `.node-${index}`, key));
    }
    nodes.push({ folder: first.folder, config, port });
  }
  return {
    postgres,
    nodes,
    start: (index) => startUp((nodes[index] as NodeEstate).config),
    async token(index, details) {
      const key = await readAgentKey(join(first.folder, '.remit', 'agents', `${agent}.key.json`));
      const issuer = at(nodes[0] as NodeEstate).url;
      return await requestTaskToken({ agent, key, issuer }, at(nodes[index] as NodeEstate).url, details);
    },
    async close() {
      await postgres.stop();
      delete process.env[STORE_VARIABLE];
    },
  };
}

/** The gateway by the address of this node, whatever the public one is. */
export const at = ({ port }: NodeEstate): { readonly url: string } => ({ url: `http://127.0.0.1:${port}` });
