import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Client, StreamableHTTPClientTransport } from '@modelcontextprotocol/client';
import type { JWK } from 'jose';
import { runRemit, startRemitUp } from '../demo/run-remit.ts';
import { writeAgentKey } from '../src/agent/agent-key.ts';
import { openTaskSession } from '../src/agent/task-session.ts';
import { clientCases } from './clients.ts';
import { expectText, messageOf } from './expect-text.ts';
import { HELD_POLICY, HELD_TOOL, tryHeld } from './held-calls.ts';
import { prepareServers, type ServerCase } from './servers.ts';

/**
 * `npm run e2e`: real MCP servers, each listed and called through Remit, and real clients, each calling one tool through it, and one that a
 * person must approve. What cannot be had here is named and fails the run.
 */

const OWNER = 'e2e@example.com';
/** A client that is run alone: `npm run e2e -- --only codex`. */
const only = process.argv.includes('--only') ? process.argv[process.argv.indexOf('--only') + 1] : undefined;
const isWanted = (title: string): boolean => only === undefined || title.toLowerCase().includes(only.toLowerCase());

async function main(): Promise<void> {
  const folder = await mkdtemp(join(tmpdir(), 'remit-e2e-'));
  const closers: (() => Promise<unknown>)[] = [() => rm(folder, { recursive: true, force: true })];
  try {
    const prepared = await prepareServers(folder);
    closers.push(prepared.close);
    const cases = prepared.cases;
    const config = await writeEstate(folder, cases);

    // As an operator would: start, read what each server offers, approve it, start again.
    const first = await startRemitUp(config);
    const unlisted = new Map<string, string>();
    for (const { id } of cases) {
      await runRemit(['tool', 'describe', '--all', id, '--approve', '--by', OWNER, '--config', config]).catch(
        (error: unknown) => unlisted.set(id, messageOf(error)),
      );
    }
    await first.stop();
    // Now that the tool has a profile, policies can speak of it.
    await writeFile(join(folder, 'policies', 'held.cedar'), HELD_POLICY);
    const gateway = await startRemitUp(config);
    closers.push(() => gateway.stop());

    const session = await openTaskSession({
      gateway: gateway.ready.url,
      agent: 'e2e',
      key: JSON.parse(await readFile(join(folder, 'e2e.key.json'), 'utf8')) as JWK,
      // What the calls change was asked for: else a person would have to say so.
      task: { declare: { template: 'e2e', prompt: { text: cases.map(wordsOf).join('\n') } } },
      clock: Date.now,
    });
    const token = await session.token();
    const url = `${gateway.ready.url}/mcp`;
    const results: Result[] = prepared.missing.map(({ title, reason }) => ({
      kind: 'server',
      title,
      problem: `not here: ${reason}`,
    }));

    const client = new Client({ name: 'e2e', version: '1' });
    await client.connect(
      new StreamableHTTPClientTransport(new URL(url), {
        requestInit: { headers: { Authorization: `Bearer ${token}` } },
      }),
    );
    const { tools } = await client.listTools();
    for (const one of cases) {
      if (!isWanted(one.title)) continue;
      const prefix = `${one.id}__`;
      const listed = tools.filter(({ name }) => name.startsWith(prefix)).length;
      const name = prefix + one.call.tool.toLowerCase().replaceAll(/[^a-z0-9_]/g, '_');
      const problem =
        unlisted.get(one.id) ??
        (await client
          .callTool({ name, arguments: one.call.args })
          .then((reply) => expectText(JSON.stringify(reply), one.call.expect, reply.isError === true), messageOf));
      results.push({
        kind: 'server',
        title: `${one.title}: ${listed} tools`,
        problem: listed === 0 ? 'no tool is listed' : problem,
      });
      report(results.at(-1) as Result);
    }
    await client.close();

    const world = { url, token, folder, tool: 'everything__echo', args: { message: 'from-a-real-client' } };
    for (const one of clientCases(world)) {
      if (!isWanted(one.title)) continue;
      const problem = await one.run().then((text) => expectText(text, /Echo: from-a-real-client/, false), messageOf);
      results.push({ kind: 'client', title: one.title, problem, ...(one.optional === true && { optional: true }) });
      report(results.at(-1) as Result);
    }
    const held = { ...world, token: await session.token(), tool: HELD_TOOL, args: { messageType: 'success' } };
    for (const one of clientCases(held)) {
      if (!isWanted(one.title)) continue;
      const { title, problem } = await tryHeld(one, config);
      results.push({ kind: 'held', title, problem, ...(one.optional === true && { optional: true }) });
      report(results.at(-1) as Result);
    }
    await session.end();
    for (const result of results.slice(0, prepared.missing.length)) report(result);
    const count = (kind: Result['kind']): string => {
      const of = results.filter((result) => result.kind === kind);
      return `${of.filter(({ problem }) => problem === undefined).length}/${of.length}`;
    };
    process.stdout.write(
      `e2e: servers ${count('server')}, clients ${count('client')}, calls held for a person ${count('held')}\n`,
    );
    process.exitCode = results.some(({ problem, optional }) => problem !== undefined && optional !== true) ? 1 : 0;
  } finally {
    for (const closer of closers.reverse()) await closer().catch(() => {});
  }
}

const wordsOf = ({ id, call }: ServerCase): string => `Call ${call.tool} of ${id} with ${JSON.stringify(call.args)}.`;

interface Result {
  readonly kind: 'server' | 'client' | 'held';
  readonly title: string;
  /** Undefined: it passed. */
  readonly problem: string | undefined;
  readonly optional?: boolean;
}

function report({ kind, title, problem, optional }: Result): void {
  const verdict = problem === undefined ? 'pass' : optional === true ? 'none' : 'FAIL';
  process.stdout.write(
    `${verdict}  ${kind}  ${title}${problem === undefined ? '' : `\n      ${problem.replaceAll('\n', '\n      ')}`}\n`,
  );
}

/** A long-lived secret is for a written list of tools. */
const isLegacy = ({ credential }: ServerCase): boolean => credential?.includes('static:') === true;

/** One agent that may do everything through every connector: what is tried here is the wire, not the policy. */
async function writeEstate(folder: string, cases: readonly ServerCase[]): Promise<string> {
  const config = join(folder, 'remit.yaml');
  const connectors = cases.map(
    (server) =>
      `  ${server.id}:\n    owner: ${OWNER}\n    transport: ${server.transport}\n${server.credential === undefined ? '' : `    credential: ${server.credential}\n`}${isLegacy(server) ? `    tools: { ${server.call.tool}: { class: read, approvedBy: ${OWNER} } }\n` : ''}`,
  );
  await writeFile(
    config,
    `version: 1
listen: { port: 0 }
agents:
  e2e: { owner: ${OWNER}, publicKeys: e2e.jwks.json }
approvals:
  groups: { anyone: ["os:*"] }
connectors:
${connectors.join('')}templates:
  e2e:
    owner: ${OWNER}
    purpose: try real servers and clients
    agents: [e2e]
    classes: [read, write, ticket, code, financial, export, privilege, secret]
    tools: [${cases.map((server) => `${server.id}/${isLegacy(server) ? server.call.tool : '*'}`).join(', ')}]
    resources: ${JSON.stringify(cases.flatMap(({ resources = [] }) => resources))}
    calls: 1000
${sharedSecret(cases)}`,
  );
  await mkdir(join(folder, 'policies'));
  await writeFile(
    join(folder, 'policies', 'e2e.cedar'),
    '@id("e2e")\npermit (principal == Remit::Agent::"e2e", action, resource);\n',
  );
  await writeAgentKey('e2e', { privateKey: join(folder, 'e2e.key.json'), publicKeys: join(folder, 'e2e.jwks.json') });
  await runRemit(['secret', 'init', '--config', config]);
  for (const { secrets = {} } of cases) {
    for (const [name, value] of Object.entries(secrets))
      await runRemit(['secret', 'put', name, '--config', config], value);
  }
  return config;
}

/** Two servers open one database, as its one administrator: a secret that is used twice needs an owner who says so. */
function sharedSecret(cases: readonly ServerCase[]): string {
  const of = cases.filter(({ credential }) => credential?.includes('shop_admin') === true).map(({ id }) => id);
  if (of.length < 2) return '';
  return `sharedSecrets:
  - { secrets: [shop_admin], connectors: [${of.join(', ')}], owner: ${OWNER}, reason: one database, expires: "2099-01-01T00:00:00Z" }
`;
}

main().catch((error: unknown) => {
  process.stderr.write(`e2e failed: ${error instanceof Error ? error.stack : String(error)}\n`);
  process.exit(1);
});
