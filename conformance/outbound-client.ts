import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Client, StreamableHTTPClientTransport } from '@modelcontextprotocol/client';
import { type RunningGateway, startGateway } from './gateway.ts';
import { driveAgent } from './outbound-agent.ts';
import { type AuthPlan, credentialFor } from './outbound-auth.ts';
import { authorizeAsOwner } from './outbound-owner.ts';
import { OUTBOUND } from './outbound-plan.ts';
import type { Revision } from './suite.ts';

/**
 * The "client" that the suite tests is Remit's upstream side: a gateway whose one connector is the suite's server, driven by an agent of
 * the scenario's era. The suite starts this with the server's URL as the last argument and the scenario in the environment. Exits with 1
 * when the agent did not get what it asked for.
 */

const CONNECTOR = 'upstream';
/** Times that an owner authorises before giving up. */
const MOST_DEEDS = 3;

async function main(): Promise<void> {
  const url = process.argv.at(-1) ?? '';
  const scenario = process.env.MCP_CONFORMANCE_SCENARIO ?? '';
  const revision = (process.env.MCP_CONFORMANCE_PROTOCOL_VERSION ?? '2025-11-25') as Revision;
  const plan = OUTBOUND.find((entry) => entry.scenario === scenario);
  if (plan === undefined) throw new Error(`no plan for the scenario ${scenario}`);

  const folder = await mkdtemp(join(tmpdir(), 'remit-conformance-outbound-'));
  const given =
    plan.auth && (await credentialFor(plan.auth, url, JSON.parse(process.env.MCP_CONFORMANCE_CONTEXT ?? '{}')));
  const gateway = await startGateway(
    folder,
    {
      [CONNECTOR]: {
        // The suite serves under the name `localhost`.
        transport: { http: { url, allowPrivateNetwork: true } },
        tools: [],
        resources: [],
        prompts: [],
        ...plan.items,
        ...(given && { credential: given.credential }),
      },
    },
    given?.secrets,
  );
  try {
    if (plan.auth?.credential === 'mcpOauth') await driveAuthorized(gateway, plan.auth, scenario, revision);
    else await drive(gateway, scenario, revision);
  } finally {
    await gateway.stop();
    await rm(folder, { recursive: true, force: true });
  }
}

/**
 * The owner authorises Remit, and does so anew where the agent does not get through, as a person would who is asked to. What a scenario wants
 * refused must be refused to the owner.
 */
async function driveAuthorized(
  gateway: RunningGateway,
  { expected }: AuthPlan,
  scenario: string,
  revision: Revision,
): Promise<void> {
  let problem: unknown;
  for (let deed = 0; deed < MOST_DEEDS; deed++) {
    const { isGiven, said } = await authorizeAsOwner(gateway.config, CONNECTOR);
    if (!isGiven && expected === 'refusal') return;
    if (!isGiven) throw new Error(`${said}${problem === undefined ? '' : `, after: ${String(problem)}`}`);
    try {
      await drive(gateway, scenario, revision);
      if (expected === 'call') return;
      throw new Error('what had to be refused was authorised, and called');
    } catch (error) {
      problem = error;
    }
  }
  throw problem;
}

async function drive(gateway: RunningGateway, scenario: string, revision: Revision): Promise<void> {
  const session = await gateway.session();
  try {
    const client = new Client(
      { name: 'conformance-agent', version: '1.0.0' },
      {
        capabilities: { elicitation: { form: { applyDefaults: true } } },
        versionNegotiation: { mode: revision === '2026-07-28' ? { pin: '2026-07-28' } : 'legacy' },
      },
    );
    client.setRequestHandler('elicitation/create', ({ params }) => ({
      action: 'accept',
      content: scenario === 'sep-2322-client-request-state' && 'requestedSchema' in params ? { confirmed: true } : {},
    }));
    await client.connect(
      new StreamableHTTPClientTransport(new URL(`/mcp/${CONNECTOR}`, gateway.url), {
        requestInit: { headers: { Authorization: `Bearer ${await session.token()}` } },
      }),
    );
    await driveAgent(client, scenario);
    await client.close();
  } finally {
    await session.end();
  }
}

main().then(
  () => process.exit(0),
  (error: unknown) => {
    const problem = (error instanceof Error ? error.message : String(error)).replaceAll('\n', ' ').slice(0, 1_000);
    process.stderr.write(`agent: ${problem}\n`);
    process.exit(1);
  },
);
