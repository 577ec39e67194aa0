import type { Config, ConnectorConfig, ToolProfileConfig } from '../config/schema.ts';
import {
  type AgentId,
  agentId,
  type ConnectorId,
  connectorId,
  type TemplateId,
  type TenantId,
  templateId,
  tenantId,
} from '../domain/ids.ts';
import type { TaskTemplate } from '../domain/task.ts';
import type { ArgumentType, CriticalArgument, ResultRules, ToolProfile } from '../domain/tool.ts';
import type { InventoryAgent, InventoryConnector, InventoryGrant } from '../seams/store.ts';
import { toFlowProfile, toTemplateFlow } from './connectors/flow-profiles.ts';

/** The configured estate in domain terms: the one place where the configuration's words become the product's nouns. */
export interface Estate {
  readonly tenant: TenantId;
  readonly environment: string;
  readonly agents: ReadonlyMap<
    AgentId,
    {
      readonly id: AgentId;
      readonly owner: string;
      readonly environment: string;
      readonly zone: string;
      readonly publicKeys: string;
    }
  >;
  readonly connectors: ReadonlyMap<ConnectorId, EstateConnector>;
  readonly templates: ReadonlyMap<TemplateId, TaskTemplate>;
  /** Approvers by the names that policies use. */
  readonly approverGroups: ReadonlyMap<string, readonly string[]>;
}

export interface EstateConnector {
  readonly id: ConnectorId;
  readonly owner: string;
  readonly environment: string;
  readonly zone: string;
  /** Of tools, by the server's own name. */
  readonly profiles: ReadonlyMap<string, ToolProfile>;
  /** By URI pattern. */
  readonly resources: ReadonlyMap<string, ToolProfile>;
  readonly prompts: ReadonlyMap<string, ToolProfile>;
  /** What the server may ask clients for. */
  readonly clientFeatures: ConnectorConfig['clientFeatures'];
  readonly config: ConnectorConfig;
}

export function buildEstate(config: Config): Estate {
  const { environment } = config;
  return {
    tenant: tenantId(config.tenant),
    environment,
    agents: new Map(
      Object.entries(config.agents).map(([id, agent]) => [
        agentId(id),
        {
          id: agentId(id),
          owner: agent.owner,
          environment: agent.environment ?? environment,
          zone: agent.zone,
          publicKeys: agent.publicKeys,
        },
      ]),
    ),
    connectors: new Map(
      Object.entries(config.connectors).map(([id, connector]) => [
        connectorId(id),
        {
          id: connectorId(id),
          owner: connector.owner,
          environment: connector.environment ?? environment,
          zone: connector.zone,
          profiles: toProfiles(connector.tools),
          resources: new Map(
            [...toProfiles(connector.resources)].map(([pattern, profile]) => [
              pattern,
              { ...profile, criticalArguments: URI },
            ]),
          ),
          prompts: toProfiles(connector.prompts),
          clientFeatures: connector.clientFeatures,
          config: connector,
        },
      ]),
    ),
    approverGroups: new Map(Object.entries(config.approvals.groups)),
    templates: new Map(
      Object.entries(config.templates).map(([id, template]) => [
        templateId(id),
        {
          id: templateId(id),
          owner: template.owner,
          purpose: template.purpose,
          agents: template.agents.map(agentId),
          bounds: {
            actionClasses: template.classes,
            tools: template.tools,
            resources: template.resources,
            calls: template.calls,
          },
          maxDurationSeconds: template.maxDurationSeconds,
          requiresUser: template.requiresUser,
          children: template.children,
          limits: template.limits,
          flow: toTemplateFlow(template.flow),
        },
      ]),
    ),
  };
}

/** What policies may read of a call on a resource, always. */
const URI: readonly CriticalArgument[] = [{ name: 'uri', type: 'string', required: true }];

const toProfiles = (profiles: Readonly<Record<string, ToolProfileConfig>>): ReadonlyMap<string, ToolProfile> =>
  new Map(Object.entries(profiles).map(([name, profile]) => [name, toProfile(profile)]));

function toProfile(profile: ToolProfileConfig): ToolProfile {
  return {
    actionClass: profile.class,
    dataClasses: profile.dataClasses,
    criticalArguments: Object.entries(profile.arguments).map(([name, type]) => toArgument(name, type)),
    reversible: profile.reversible,
    approvedBy: profile.approvedBy,
    fingerprint: profile.fingerprint,
    flow: toFlowProfile(profile),
    result: toResultRules(profile.result),
  };
}

function toResultRules(rules: ToolProfileConfig['result']): ResultRules | undefined {
  if (rules === undefined) return undefined;
  const { drop, mask, secrets, maxBytes, over } = rules;
  const paths = (texts: readonly string[]) => texts.map((text) => text.split('.'));
  return { drop: paths(drop), mask: paths(mask), masksSecrets: secrets === 'mask', maxBytes, over };
}

function toArgument(name: string, type: string): CriticalArgument {
  const required = !type.endsWith('?');
  return { name, type: (required ? type : type.slice(0, -1)) as ArgumentType, required };
}

/** The estate as rows of the inventory. */
export function inventoryRows(estate: Estate): {
  agents: InventoryAgent[];
  connectors: InventoryConnector[];
  grants: InventoryGrant[];
} {
  const { tenant } = estate;
  return {
    agents: [...estate.agents.values()].map(({ id, owner, environment, zone }) => ({
      tenant,
      id,
      owner,
      environment,
      zone,
    })),
    connectors: [...estate.connectors.values()].map(({ id, owner, environment, zone, config }) => ({
      tenant,
      id,
      owner,
      environment,
      zone,
      transport: 'stdio' in config.transport ? 'stdio' : 'sse' in config.transport ? 'sse' : 'http',
      credential: config.credential?.postgres ? 'postgres' : config.credential?.static ? 'static' : 'none',
      exception: config.credential?.static?.exception ?? config.credential?.mcpOauth?.sharedToken,
    })),
    grants: [...estate.templates.values()].flatMap((template) =>
      template.agents.map((agent) => ({
        tenant,
        agent,
        template: template.id,
        templateOwner: template.owner,
        purpose: template.purpose,
        actionClasses: template.bounds.actionClasses,
        tools: template.bounds.tools,
        resources: template.bounds.resources,
        calls: template.bounds.calls,
        maxDurationSeconds: template.maxDurationSeconds,
        requiresUser: template.requiresUser,
      })),
    ),
  };
}
