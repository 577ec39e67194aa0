import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { JWK } from 'jose';
import { stringify } from 'yaml';
import { runRemit, startRemitUp } from '../demo/run-remit.ts';
import { writeAgentKey } from '../src/agent/agent-key.ts';
import { openTaskSession, type TaskSession } from '../src/agent/task-session.ts';

const OWNER = 'conformance@example.com';
const AGENT = 'conformance';

/** What a connector offers: without a profile an item is neither shown nor callable. */
export interface Items {
  readonly tools: readonly string[];
  /** URI patterns, with `*` and `**`. */
  readonly resources: readonly string[];
  readonly prompts: readonly string[];
}

export interface ConnectorPlan extends Items {
  readonly transport:
    | { readonly http: { readonly url: string; readonly allowPrivateNetwork?: true } }
    | { readonly stdio: { readonly command: readonly string[] } };
  /** As in `remit.yaml`; undefined where the server wants none. */
  readonly credential?: object;
}

export interface RunningGateway {
  /** Its configuration file. */
  readonly config: string;
  readonly url: URL;
  /** A task of its own for each pairing, so that none meets what another left behind. */
  session(): Promise<TaskSession>;
  /** Its log: errors only. */
  log(): string;
  stop(): Promise<unknown>;
}

/** Starts a real gateway, `remit up`, in front of the connectors; the agent may do everything with them that is described. */
export async function startGateway(
  folder: string,
  connectors: Readonly<Record<string, ConnectorPlan>>,
  secrets: Readonly<Record<string, string>> = {},
): Promise<RunningGateway> {
  const config = await writeConfig(folder, connectors);
  for (const [name, value] of Object.entries(secrets)) {
    await runRemit(['secret', 'put', name, '--config', config], value);
  }
  const gateway = await startRemitUp(config, ['--log-level', 'error']);
  const key = JSON.parse(await readFile(join(folder, 'agent.key.json'), 'utf8')) as JWK;
  return {
    config,
    url: new URL(gateway.ready.url),
    session: () =>
      openTaskSession({
        gateway: gateway.ready.url,
        agent: AGENT,
        key,
        task: { declare: { template: 'conformance' } },
        clock: Date.now,
      }),
    log: () => gateway.output(),
    stop: () => gateway.stop(),
  };
}

async function writeConfig(folder: string, connectors: Readonly<Record<string, ConnectorPlan>>): Promise<string> {
  const profile = { class: 'read', approvedBy: OWNER };
  const describe = (names: readonly string[]): Record<string, object> =>
    Object.fromEntries(names.map((name) => [name, profile]));
  const refs = Object.entries(connectors).flatMap(([id, { resources, prompts }]) => [
    `${id}/*`,
    ...resources.map((pattern) => `${id}/resource:${pattern}`),
    ...prompts.map((name) => `${id}/prompt:${name}`),
  ]);
  const config = join(folder, 'remit.yaml');
  const estate = {
    version: 1,
    listen: { port: 0 },
    agents: { [AGENT]: { owner: OWNER, publicKeys: 'agent.jwks.json' } },
    connectors: Object.fromEntries(
      Object.entries(connectors).map(([id, plan]) => [
        id,
        {
          owner: OWNER,
          transport: plan.transport,
          protocol: 'auto',
          ...(plan.credential && { credential: plan.credential }),
          clientFeatures: ['elicitation', 'sampling', 'roots'],
          tools: describe(plan.tools),
          resources: describe(plan.resources),
          prompts: describe(plan.prompts),
        },
      ]),
    ),
    templates: {
      conformance: {
        owner: OWNER,
        purpose: 'run the official conformance suite',
        agents: [AGENT],
        classes: ['read'],
        tools: refs,
        calls: 1_000_000,
      },
    },
  };
  // The same profile many times over: no aliases, which the loader takes for an attack when there are many.
  await writeFile(config, stringify(estate, { aliasDuplicateObjects: false }));
  await mkdir(join(folder, 'policies'));
  await writeFile(
    join(folder, 'policies', 'conformance.cedar'),
    `@id("conformance-reads")
permit (
  principal == Remit::Agent::"${AGENT}",
  action in [Remit::Action::"discover", Remit::Action::"read"],
  resource
);
`,
  );
  await writeAgentKey(AGENT, {
    privateKey: join(folder, 'agent.key.json'),
    publicKeys: join(folder, 'agent.jwks.json'),
  });
  await runRemit(['secret', 'init', '--config', config]);
  return config;
}
