import { randomUUID } from 'node:crypto';
import { copyFile, mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { importJWK, SignJWT } from 'jose';
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

const VARIABLE = 'REMIT_TEST_NODES_STORE';

/** An estate that several gateways on one PostgreSQL serve, each from a folder of its own. */
export async function makeNodesEstate(count: number, parts: { yaml: string; agent?: string }): Promise<NodesEstate> {
  const { agent = 'scribe' } = parts;
  const postgres = await startPostgres({ fsync: false });
  process.env[VARIABLE] = postgres.url('postgres');
  const ports = await Promise.all(Array.from({ length: count }, () => findPort()));
  const first = await makeEstate({
    port: ports[0] as number,
    agents: [agent],
    yaml: (folder) => `publicUrl: http://127.0.0.1:${ports[0]}
store: { kind: postgres, urlVariable: ${VARIABLE} }
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
    token: (index, details) => requestToken(nodes, index, agent, details),
    async close() {
      await postgres.stop();
      delete process.env[VARIABLE];
    },
  };
}

async function requestToken(
  nodes: readonly NodeEstate[],
  index: number,
  agent: string,
  details: Readonly<Record<string, unknown>>,
): Promise<OwnTask> {
  const [publicNode, node] = [nodes[0] as NodeEstate, nodes[index] as NodeEstate];
  const issuer = at(publicNode).url;
  const jwk = await readAgentKey(join(node.folder, '.remit', 'agents', `${agent}.key.json`));
  const now = Math.floor(Date.now() / 1000);
  const assertion = await new SignJWT({})
    .setProtectedHeader({ alg: 'ES256', kid: jwk.kid as string })
    .setIssuer(agent)
    .setSubject(agent)
    .setAudience(issuer)
    .setJti(randomUUID())
    .setIssuedAt(now)
    .setExpirationTime(now + 60)
    .sign(await importJWK(jwk, 'ES256'));
  const response = await fetch(`${at(node).url}/oauth/token`, {
    method: 'POST',
    body: new URLSearchParams({
      grant_type: 'client_credentials',
      client_id: agent,
      client_assertion_type: 'urn:ietf:params:oauth:client-assertion-type:jwt-bearer',
      client_assertion: assertion,
      resource: `${issuer}/mcp`,
      authorization_details: JSON.stringify([{ type: 'remit_task', ...details }]),
    }),
  });
  const text = await response.text();
  if (response.status !== 200) throw new Error(`HTTP ${response.status}: ${text}`);
  const answer = JSON.parse(text) as { access_token: string; authorization_details: { task: string }[] };
  return { token: answer.access_token, task: answer.authorization_details[0]?.task as string };
}

/** The gateway by the address of this node, whatever the public one is. */
export const at = ({ port }: NodeEstate): { readonly url: string } => ({ url: `http://127.0.0.1:${port}` });
