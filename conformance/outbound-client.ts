import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Client, StreamableHTTPClientTransport } from '@modelcontextprotocol/client';
import { startGateway } from './gateway.ts';
import { driveAgent } from './outbound-agent.ts';
import { OUTBOUND } from './outbound-plan.ts';
import type { Revision } from './suite.ts';

/**
 * The "client" that the suite tests is Remit's upstream side: a gateway whose one connector is the suite's server, driven by an agent of
 * the scenario's era. The suite starts this with the server's URL as the last argument and the scenario in the environment. Exits with 1
 * when the agent did not get what it asked for.
 */

const CONNECTOR = 'upstream';

async function main(): Promise<void> {
  const url = process.argv.at(-1) ?? '';
  const scenario = process.env.MCP_CONFORMANCE_SCENARIO ?? '';
  const revision = (process.env.MCP_CONFORMANCE_PROTOCOL_VERSION ?? '2025-11-25') as Revision;
  const plan = OUTBOUND.find((entry) => entry.scenario === scenario);
  if (plan === undefined) throw new Error(`no plan for the scenario ${scenario}`);

  const folder = await mkdtemp(join(tmpdir(), 'remit-conformance-outbound-'));
  const gateway = await startGateway(folder, {
    [CONNECTOR]: {
      // The suite serves under the name `localhost`.
      transport: { http: { url, allowPrivateNetwork: true } },
      tools: [],
      resources: [],
      prompts: [],
      ...plan.items,
    },
  });
  try {
    const session = await gateway.session();
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
    await session.end();
  } finally {
    await gateway.stop();
    await rm(folder, { recursive: true, force: true });
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
