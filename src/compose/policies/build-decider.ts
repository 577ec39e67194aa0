import { createAuthZenPolicy } from '../../adapters/external-policy/authzen.ts';
import { createOpaPolicy } from '../../adapters/external-policy/opa.ts';
import { createOpaWasmPolicy } from '../../adapters/external-policy/opa-wasm.ts';
import type { Endpoint } from '../../adapters/external-policy/post-json.ts';
import { createGuardedFetch } from '../../adapters/upstreams/guarded-fetch.ts';
import type { ExternalPolicyConfig } from '../../config/policy-schema.ts';
import { RemitError } from '../../domain/errors.ts';
import { agentId, connectorId } from '../../domain/ids.ts';
import { itemName } from '../../domain/tool.ts';
import { createDecider, type Decider, type DeciderOptions } from '../../policy/decide.ts';
import type { ExternalPoint } from '../../policy/external/scope.ts';
import { withExternal } from '../../policy/external/with-external.ts';
import { withShadow } from '../../policy/shadow.ts';
import type { ExternalPolicy } from '../../seams/external-policy.ts';
import type { EstateConnector } from '../estate.ts';
import type { Workspace } from '../workspace.ts';

/** The decider of a gateway, but for what comes of its store: its own policies, and then whatever is asked outside. */
export type MakeDecider = (
  options: Pick<DeciderOptions, 'engine' | 'labelsOf' | 'observer'> & {
    readonly shadow: Parameters<typeof withShadow>[1];
  },
) => Decider;

/**
 * Opens what is asked outside; `closers` get what ends its connections.
 * @throws `ERR_CONFIG_INVALID`, `ERR_POLICY_INVALID` for a module that cannot be used, `ERR_SECRET_MISSING`
 */
export async function openDecider(
  workspace: Workspace,
  closers: (() => Promise<unknown> | unknown)[],
): Promise<MakeDecider> {
  const { config, estate, system } = workspace;
  const points: ExternalPoint[] = [];
  for (const point of config.policy.external) {
    assertKnown(workspace, point);
    const policy = await openPolicy(workspace, point);
    closers.push(() => policy.close());
    points.push({ ...scopeOf(point), policy });
  }
  const { clock, schedule, log } = system;
  const { environment } = estate;
  const approverGroups = new Set(estate.approverGroups.keys());
  return ({ engine, labelsOf, observer, shadow }) => {
    const own = createDecider({ engine, environment, labelsOf, clock, schedule, log, observer });
    const outside = { points, environment, labelsOf, clock, schedule, log, approverGroups };
    return withExternal(withShadow(own, shadow, labelsOf), outside);
  };
}

/** A misspelt name would be a decision point that is never asked: that permits. */
function assertKnown(
  { estate }: Workspace,
  { id, agents = [], tools = [], arguments: sent }: ExternalPolicyConfig,
): void {
  const isKnown = (pattern: string): boolean => {
    const slash = pattern.indexOf('/');
    const connector = estate.connectors.get(connectorId(pattern.slice(0, slash)));
    const name = pattern.slice(slash + 1);
    return connector !== undefined && (name === '*' || itemNames(connector).has(name));
  };
  const unknown = [...tools, ...Object.keys(sent)].find((pattern) => !isKnown(pattern));
  const stranger = agents.find((agent) => !estate.agents.has(agentId(agent)));
  const problem = stranger ?? unknown;
  if (problem === undefined) return;
  throw new RemitError('ERR_CONFIG_INVALID', `external decision point ${id}: ${problem} is not in the configuration`, {
    where: 'policy.external',
    hint: 'Mind the spelling: a tool is connector/tool or connector/*.',
  });
}

const itemNames = ({ profiles, resources, prompts }: EstateConnector): ReadonlySet<string> =>
  new Set([
    ...profiles.keys(),
    ...[...resources.keys()].map((name) => itemName('resource', name)),
    ...[...prompts.keys()].map((name) => itemName('prompt', name)),
  ]);

export function scopeOf(config: ExternalPolicyConfig): Omit<ExternalPoint, 'policy'> {
  const { id, ask, agents, tools, actionClasses, arguments: sent, reuseSeconds } = config;
  return {
    id,
    asks: new Set(ask),
    agents,
    tools,
    actionClasses,
    arguments: new Map(Object.entries(sent)),
    timeoutMs: 'timeoutMs' in config ? config.timeoutMs : IN_PROCESS_MS,
    reuseMs: reuseSeconds * 1_000,
  };
}

const IN_PROCESS_MS = 2_000;

async function openPolicy(workspace: Workspace, config: ExternalPolicyConfig): Promise<ExternalPolicy> {
  if (config.kind === 'opa-wasm') {
    return createOpaWasmPolicy(workspace.loaded.resolvePath(config.file), config.entrypoint);
  }
  const { url, token, allowPrivateNetwork } = config;
  if (token !== undefined) await workspace.vault.get(token);
  const { fetch, close } = createGuardedFetch({ hostname: new URL(url).hostname, allowPrivateNetwork });
  const endpoint: Endpoint = { url, token: token === undefined ? undefined : () => workspace.vault.get(token), fetch };
  const policy = config.kind === 'authzen' ? createAuthZenPolicy(endpoint) : createOpaPolicy(endpoint, config.path);
  return { ...policy, close };
}
