import { messageOf, RemitError } from '../domain/errors.ts';
import { type ConnectorId, type TenantId, toolRef } from '../domain/ids.ts';
import type { GovernedTool, ToolDefinition, ToolProfile } from '../domain/tool.ts';
import type { Clock, Log } from '../seams/clock.ts';
import type { InventoryRepository, InventoryTool } from '../seams/store.ts';
import { exposeName } from './expose-name.ts';
import { fingerprint } from './fingerprint.ts';

/** Lists a connector's tools as its server gives them, pages followed. */
export type ListTools = (connector: ConnectorId) => Promise<readonly Readonly<Record<string, unknown>>[]>;

export interface CatalogueConnector {
  readonly id: ConnectorId;
  readonly profiles: ReadonlyMap<string, ToolProfile>;
}

export interface CatalogueOptions {
  readonly tenant: TenantId;
  readonly connectors: readonly CatalogueConnector[];
  readonly inventory: InventoryRepository;
  readonly listTools: ListTools;
  readonly clock: Clock;
  readonly log: Log;
}

/** What is known of every tool of every connector: definitions as seen, joined with profiles as approved. */
export interface Catalogue {
  /** Loads what earlier runs saw, so that a connector which is down does not lose its tools. */
  load(): Promise<void>;
  /** Lists one connector anew. @throws `ERR_CONNECTOR_…` when it cannot be listed; what was known stays. */
  refresh(connector: ConnectorId): Promise<readonly GovernedTool[]>;
  byExposedName(name: string): GovernedTool | undefined;
  tools(): readonly GovernedTool[];
  /** Why a connector could not be listed, if the last try failed. */
  problems(): ReadonlyMap<ConnectorId, RemitError>;
}

export function createCatalogue(options: CatalogueOptions): Catalogue {
  const { tenant, inventory, clock, log } = options;
  const profilesOf = new Map(options.connectors.map((connector) => [connector.id, connector.profiles]));
  const known = new Map<ConnectorId, readonly GovernedTool[]>();
  const failed = new Map<ConnectorId, RemitError>();
  let byName = new Map<string, GovernedTool>();
  let all: readonly GovernedTool[] = [];

  function index(): void {
    const listed = [...known.values()].flat();
    const uses = new Map<string, number>();
    for (const { exposedName } of listed) uses.set(exposedName, (uses.get(exposedName) ?? 0) + 1);
    all = listed.map((tool) =>
      uses.get(tool.exposedName) === 1 ? tool : { ...tool, exposedName: exposeName(tool.connector, tool.name, true) },
    );
    byName = new Map(all.map((tool) => [tool.exposedName, tool]));
  }

  function govern(connector: ConnectorId, raw: Readonly<Record<string, unknown>>): GovernedTool {
    const definition = readDefinition(connector, raw);
    const profile = profilesOf.get(connector)?.get(definition.name);
    const isChanged = profile?.fingerprint !== undefined && profile.fingerprint !== definition.fingerprint;
    return {
      ref: toolRef(connector, definition.name),
      connector,
      name: definition.name,
      exposedName: exposeName(connector, definition.name),
      definition,
      profile,
      status: profile === undefined ? 'undescribed' : isChanged ? 'quarantined' : 'described',
    };
  }

  return {
    async load() {
      for (const tool of await inventory.tools(tenant)) {
        const connector = tool.connector as ConnectorId;
        if (!profilesOf.has(connector)) continue;
        known.set(connector, [
          ...(known.get(connector) ?? []),
          govern(connector, tool.definition as Readonly<Record<string, unknown>>),
        ]);
      }
      index();
    },

    async refresh(connector) {
      try {
        const tools = (await options.listTools(connector)).map((raw) => govern(connector, raw));
        await inventory.recordTools(
          tenant,
          connector,
          tools.map((tool) => toRow(tenant, tool, clock())),
        );
        known.set(connector, tools);
        failed.delete(connector);
        index();
        return tools;
      } catch (cause) {
        const error =
          cause instanceof RemitError
            ? cause
            : new RemitError('ERR_CONNECTOR_UNREACHABLE', `connector ${connector}: ${messageOf(cause)}`, { cause });
        failed.set(connector, error);
        log.warn(
          { connector, code: error.code, where: error.where },
          `connector ${connector} could not be listed: ${error.message}`,
        );
        throw error;
      }
    },

    byExposedName: (name) => byName.get(name),
    tools: () => all,
    problems: () => failed,
  };
}

function readDefinition(connector: ConnectorId, raw: Readonly<Record<string, unknown>>): ToolDefinition {
  const { name, description } = raw;
  if (typeof name !== 'string' || name.length === 0 || name.length > 256) {
    throw new RemitError('ERR_CONNECTOR_PROTOCOL', `connector ${connector} listed a tool without a usable name`, {
      where: connector,
      hint: 'MCP requires a tool name of 1 to 256 characters; the server needs mending.',
    });
  }
  return {
    connector,
    name,
    description: typeof description === 'string' ? description : '',
    raw,
    fingerprint: fingerprint(raw),
  };
}

function toRow(tenant: TenantId, tool: GovernedTool, now: number): InventoryTool {
  return {
    tenant,
    connector: tool.connector,
    name: tool.name,
    fingerprint: tool.definition.fingerprint,
    definition: tool.definition.raw,
    status: tool.status,
    actionClass: tool.profile?.actionClass,
    approvedBy: tool.profile?.approvedBy,
    firstSeenAt: now,
    lastSeenAt: now,
  };
}
