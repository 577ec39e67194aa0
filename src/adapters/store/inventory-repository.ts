import { type Selectable, sql } from 'kysely';
import { type TenantId, tenantId } from '../../domain/ids.ts';
import type {
  InventoryAgent,
  InventoryConnector,
  InventoryGrant,
  InventoryPin,
  InventoryRepository,
  InventoryTool,
} from '../../seams/store.ts';
import { inPieces, listOf, objectOf, orNull, orUndefined } from './columns.ts';
import type { Dialect } from './migrations.ts';
import type {
  Atomically,
  InventoryConnectorTable,
  InventoryGrantTable,
  InventoryPinTable,
  InventoryToolTable,
  Queries,
} from './schema.ts';

/** `pg_advisory_xact_lock` key under which nodes that start together register what they serve one after the other. */
const REPLACE_LOCK = 0x52656d6a;

/** What is registered. Rows are written under the method's tenant, whatever the values claim (guarantee I1). */
export function makeInventoryRepository(
  queries: Queries,
  atomically: Atomically,
  dialect: Dialect,
): InventoryRepository {
  return {
    async replace(tenant, estate) {
      await atomically(async (step) => {
        if (dialect.name === 'postgres')
          await sql`select pg_advisory_xact_lock(${REPLACE_LOCK}, hashtext(${tenant}))`.execute(step);
        await step.deleteFrom('inventory_agents').where('tenant', '=', tenant).execute();
        await step.deleteFrom('inventory_connectors').where('tenant', '=', tenant).execute();
        await step.deleteFrom('inventory_grants').where('tenant', '=', tenant).execute();
        for (const rows of inPieces(estate.agents.map((agent) => agentRow(tenant, agent)))) {
          await step.insertInto('inventory_agents').values(rows).execute();
        }
        for (const rows of inPieces(estate.connectors.map((connector) => connectorRow(tenant, connector)))) {
          await step.insertInto('inventory_connectors').values(rows).execute();
        }
        for (const rows of inPieces(estate.grants.map((grant) => grantRow(tenant, grant)))) {
          await step.insertInto('inventory_grants').values(rows).execute();
        }
      });
    },

    async recordTools(tenant, connector, tools) {
      await atomically((step) => recordTools(step, tenant, connector, tools));
    },

    async agents(tenant) {
      const rows = await queries
        .selectFrom('inventory_agents')
        .selectAll()
        .where('tenant', '=', tenant)
        .orderBy('id')
        .execute();
      return rows.map((row) => ({ ...row, tenant: tenantId(row.tenant) }));
    },

    async connectors(tenant) {
      const rows = await queries
        .selectFrom('inventory_connectors')
        .selectAll()
        .where('tenant', '=', tenant)
        .orderBy('id')
        .execute();
      return rows.map(connectorOf);
    },

    async tools(tenant, connector) {
      let query = queries.selectFrom('inventory_tools').selectAll().where('tenant', '=', tenant);
      if (connector !== undefined) query = query.where('connector', '=', connector);
      return (await query.orderBy('connector').orderBy('name').execute()).map(toolOf);
    },

    async grants(tenant) {
      const rows = await queries
        .selectFrom('inventory_grants')
        .selectAll()
        .where('tenant', '=', tenant)
        .orderBy('agent')
        .orderBy('template')
        .execute();
      return rows.map(grantOf);
    },

    async pins(tenant, connector) {
      let query = queries.selectFrom('inventory_pins').selectAll().where('tenant', '=', tenant);
      if (connector !== undefined) query = query.where('connector', '=', connector);
      return (await query.orderBy('connector').orderBy('name').execute()).map(pinOf);
    },

    async pin(tenant, pins) {
      await atomically(async (step) => {
        for (const rows of inPieces(pins.map((pin) => pinRow(tenant, pin)))) {
          await step
            .insertInto('inventory_pins')
            .values(rows)
            .onConflict((conflict) =>
              conflict.columns(['tenant', 'connector', 'name']).doUpdateSet((column) => ({
                fingerprint: column.ref('excluded.fingerprint'),
                definition: column.ref('excluded.definition'),
                pinned_at: column.ref('excluded.pinned_at'),
              })),
            )
            .execute();
        }
      });
    },
  };
}

async function recordTools(
  queries: Queries,
  tenant: TenantId,
  connector: string,
  tools: readonly InventoryTool[],
): Promise<void> {
  // The list comes from an untrusted server: of two tools with one name the later stands.
  const named = new Map(tools.map((tool) => [tool.name, tool]));
  const known = await queries
    .selectFrom('inventory_tools')
    .select('name')
    .where('tenant', '=', tenant)
    .where('connector', '=', connector)
    .execute();
  const gone = known.map(({ name }) => name).filter((name) => !named.has(name));
  for (const names of inPieces(gone)) {
    await queries
      .deleteFrom('inventory_tools')
      .where('tenant', '=', tenant)
      .where('connector', '=', connector)
      .where('name', 'in', names)
      .execute();
  }
  for (const rows of inPieces([...named.values()].map((tool) => toolRow(tenant, connector, tool)))) {
    await queries
      .insertInto('inventory_tools')
      .values(rows)
      .onConflict((conflict) =>
        conflict.columns(['tenant', 'connector', 'name']).doUpdateSet((column) => ({
          fingerprint: column.ref('excluded.fingerprint'),
          definition: column.ref('excluded.definition'),
          status: column.ref('excluded.status'),
          action_class: column.ref('excluded.action_class'),
          approved_by: column.ref('excluded.approved_by'),
          last_seen_at: column.ref('excluded.last_seen_at'),
        })),
      )
      .execute();
  }
}

function agentRow(tenant: TenantId, agent: InventoryAgent) {
  return { tenant, id: agent.id, owner: agent.owner, environment: agent.environment, zone: agent.zone };
}

function connectorRow(tenant: TenantId, connector: InventoryConnector): InventoryConnectorTable {
  return {
    ...agentRow(tenant, connector),
    transport: connector.transport,
    credential: connector.credential,
    exception_owner: orNull(connector.exception?.owner),
    exception_reason: orNull(connector.exception?.reason),
    exception_expires: orNull(connector.exception?.expires),
  };
}

function connectorOf(row: Selectable<InventoryConnectorTable>): InventoryConnector {
  const { exception_owner: owner, exception_reason: reason, exception_expires: expires } = row;
  return {
    tenant: tenantId(row.tenant),
    id: row.id,
    owner: row.owner,
    environment: row.environment,
    zone: row.zone,
    transport: row.transport,
    credential: row.credential,
    exception: owner === null || reason === null || expires === null ? undefined : { owner, reason, expires },
  };
}

function toolRow(tenant: TenantId, connector: string, tool: InventoryTool): InventoryToolTable {
  return {
    tenant,
    connector,
    name: tool.name,
    fingerprint: tool.fingerprint,
    definition: JSON.stringify(tool.definition),
    status: tool.status,
    action_class: orNull(tool.actionClass),
    approved_by: orNull(tool.approvedBy),
    first_seen_at: tool.firstSeenAt,
    last_seen_at: tool.lastSeenAt,
  };
}

function toolOf(row: Selectable<InventoryToolTable>): InventoryTool {
  return {
    tenant: tenantId(row.tenant),
    connector: row.connector,
    name: row.name,
    fingerprint: row.fingerprint,
    definition: objectOf(row.definition),
    status: row.status as InventoryTool['status'],
    actionClass: orUndefined(row.action_class),
    approvedBy: orUndefined(row.approved_by),
    firstSeenAt: row.first_seen_at,
    lastSeenAt: row.last_seen_at,
  };
}

function pinRow(tenant: TenantId, pin: InventoryPin): InventoryPinTable {
  return {
    tenant,
    connector: pin.connector,
    name: pin.name,
    fingerprint: pin.fingerprint,
    definition: JSON.stringify(pin.definition),
    pinned_at: pin.pinnedAt,
  };
}

function pinOf(row: Selectable<InventoryPinTable>): InventoryPin {
  return {
    tenant: tenantId(row.tenant),
    connector: row.connector,
    name: row.name,
    fingerprint: row.fingerprint,
    definition: objectOf(row.definition),
    pinnedAt: row.pinned_at,
  };
}

function grantRow(tenant: TenantId, grant: InventoryGrant): InventoryGrantTable {
  return {
    tenant,
    agent: grant.agent,
    template: grant.template,
    template_owner: grant.templateOwner,
    purpose: grant.purpose,
    action_classes: JSON.stringify(grant.actionClasses),
    tools: JSON.stringify(grant.tools),
    resources: JSON.stringify(grant.resources),
    calls: grant.calls,
    max_duration_seconds: grant.maxDurationSeconds,
    requires_user: grant.requiresUser ? 1 : 0,
  };
}

function grantOf(row: Selectable<InventoryGrantTable>): InventoryGrant {
  return {
    tenant: tenantId(row.tenant),
    agent: row.agent,
    template: row.template,
    templateOwner: row.template_owner,
    purpose: row.purpose,
    actionClasses: listOf(row.action_classes),
    tools: listOf(row.tools),
    resources: listOf(row.resources),
    calls: row.calls,
    maxDurationSeconds: row.max_duration_seconds,
    requiresUser: row.requires_user === 1,
  };
}
