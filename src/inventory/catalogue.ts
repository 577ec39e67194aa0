import { messageOf, RemitError, settleStack } from '../domain/errors.ts';
import type { ConnectorId, TenantId } from '../domain/ids.ts';
import type { GovernedTool } from '../domain/tool.ts';
import type { Clock, Log } from '../seams/clock.ts';
import type { InventoryRepository, InventoryTool } from '../seams/store.ts';
import { shownName } from './expose-name.ts';
import {
  type DescribedItems,
  type GovernedItems,
  type GovernedTemplate,
  governItems,
  type ListedItems,
  type ListedTemplate,
  resourcesOf,
  restoreListed,
} from './govern-items.ts';
import { inventoryRows } from './inventory-rows.ts';
import { indexItems } from './item-index.ts';
import { type Ambiguous, routeUri } from './match-uri.ts';

/** Lists what a connector has, as its server gives it, pages followed. */
export type ListItems = (connector: ConnectorId) => Promise<ListedItems>;

export type ListedKind = 'tools' | 'prompts' | 'resources';

export interface CatalogueOptions {
  readonly tenant: TenantId;
  readonly connectors: readonly DescribedItems[];
  readonly inventory: InventoryRepository;
  readonly listItems: ListItems;
  readonly clock: Clock;
  readonly log: Log;
  /** Called after a refresh that changed what is listed, or whether it may be used. */
  readonly onChanged?: (connector: ConnectorId, kinds: readonly ListedKind[]) => void;
}

/** What is known of every item of every connector: definitions as seen, joined with profiles as approved. */
export interface Catalogue {
  /** Loads what earlier runs saw, so that a connector which is down does not lose its items. */
  load(): Promise<void>;
  /**
   * Lists one connector anew, and gives its tools. One listing at a time: a call during one waits for another that begins after it, so
   * that no change is missed (fault 33). @throws `ERR_CONNECTOR_…` when it cannot be listed; what was known stays.
   */
  refresh(connector: ConnectorId): Promise<readonly GovernedTool[]>;
  /** A tool by its name on the path of all connectors. */
  byExposedName(name: string): GovernedTool | undefined;
  /** By the name that clients of a path see. @param scope the connector whose own path it is; undefined on the path of all */
  find(kind: 'tool' | 'prompt', name: string, scope: ConnectorId | undefined): GovernedTool | undefined;
  /** The name under which clients of a path see an item: the one that `find` takes. */
  shownName(item: GovernedTool, scope: ConnectorId | undefined): string;
  /** The described resource that a URI belongs to; undefined when it belongs to none, or is not in its one normal form. */
  routeUri(uri: string, scope: ConnectorId | undefined): GovernedTool | Ambiguous | undefined;
  tools(): readonly GovernedTool[];
  prompts(): readonly GovernedTool[];
  /** Resource templates, as servers list them. */
  templates(): readonly ListedTemplate[];
  /** One for each described pattern, listed or not. */
  resources(): readonly GovernedTool[];
  /** Why a connector could not be listed, if the last try failed. */
  problems(): ReadonlyMap<ConnectorId, RemitError>;
  /** From now on these connectors are suspended: none of their items is listed or may be called. What is known of them stays. */
  suspend(connectors: ReadonlySet<ConnectorId>): void;
  /** Rises with each change. */
  readonly version: number;
}

/** A listing under way, and the one that waits for it. */
interface Turn {
  readonly done: Promise<void>;
  next: Promise<readonly GovernedTool[]> | undefined;
}

const NOTHING: GovernedItems = { tools: [], prompts: [], templates: [], pins: new Map() };

export function createCatalogue(options: CatalogueOptions): Catalogue {
  const { tenant, inventory, clock, log } = options;
  const described = new Map(options.connectors.map((connector) => [connector.id, connector]));
  const routed = new Map(options.connectors.map((connector) => [connector.id, resourcesOf(connector)]));
  const asSuspended = createSuspendedItems();
  let suspended: ReadonlySet<ConnectorId> = new Set();
  let served = routed;
  let resources = [...routed.values()].flat().map(({ item }) => item);
  const known = new Map<ConnectorId, GovernedItems>();
  const failed = new Map<ConnectorId, RemitError>();
  const turns = new Map<ConnectorId, Turn>();
  let tools = indexItems([]);
  let prompts = indexItems([]);
  let templates: readonly ListedTemplate[] = [];
  let version = 0;

  function index(): void {
    const all = [...known.values()];
    const asIs = (item: GovernedTool): GovernedTool => (suspended.has(item.connector) ? asSuspended(item) : item);
    tools = indexItems(all.flatMap((items) => items.tools).map(asIs));
    prompts = indexItems(all.flatMap((items) => items.prompts).map(asIs));
    templates = all
      .flatMap((items) => items.templates)
      .map((one) => (one.item === undefined ? one : { ...one, item: asIs(one.item) }));
    served = new Map([...routed].map(([id, own]) => [id, own.map((one) => ({ ...one, item: asIs(one.item) }))]));
    resources = [...served.values()].flat().map(({ item }) => item);
    version += 1;
  }

  async function govern(id: ConnectorId, listed: ListedItems): Promise<GovernedItems> {
    const connector = described.get(id);
    if (connector === undefined) throw new RemitError('ERR_NOT_FOUND', `no connector is called ${id}`);
    const rows = await inventory.pins(tenant, id);
    const pinned = new Map(rows.map((pin) => [pin.name, pin.fingerprint]));
    const items = governItems(connector, routed.get(id) ?? [], listed, pinned, log);
    if (items.pins.size > 0) {
      const pins = [...items.pins].map(([name, { fingerprint, raw }]) => ({ name, fingerprint, definition: raw }));
      await inventory.pin(
        tenant,
        pins.map((pin) => ({ tenant, connector: id, ...pin, pinnedAt: clock() })),
      );
    }
    return items;
  }

  async function listAnew(id: ConnectorId): Promise<readonly GovernedTool[]> {
    let kinds: ListedKind[];
    try {
      const items = await govern(id, await options.listItems(id));
      const patterns = (routed.get(id) ?? []).map(({ item }) => item);
      await inventory.recordTools(tenant, id, inventoryRows(tenant, id, items, patterns, clock()));
      kinds = changedKinds(known.get(id) ?? NOTHING, items);
      failed.delete(id);
      // Items that are as they were stay the same objects: what is rendered of them is kept by identity.
      if (kinds.length > 0) {
        known.set(id, items);
        index();
      }
    } catch (cause) {
      const error =
        cause instanceof RemitError
          ? cause
          : new RemitError('ERR_CONNECTOR_UNREACHABLE', `connector ${id}: ${messageOf(cause)}`, { cause });
      settleStack(error);
      failed.set(id, error);
      log.warn(
        { connector: id, code: error.code, where: error.where },
        `connector ${id} could not be listed: ${error.message}`,
      );
      throw error;
    }
    if (kinds.length > 0) options.onChanged?.(id, kinds);
    return tools.all.filter(({ connector }) => connector === id);
  }

  function refresh(id: ConnectorId): Promise<readonly GovernedTool[]> {
    const turn = turns.get(id);
    if (turn === undefined) return begin(id);
    turn.next ??= turn.done.then(() => begin(id));
    return turn.next;
  }

  function begin(id: ConnectorId): Promise<readonly GovernedTool[]> {
    const listing = listAnew(id);
    const end = (): void => {
      if (turn.next === undefined) turns.delete(id);
    };
    const turn: Turn = { done: listing.then(end, end), next: undefined };
    turns.set(id, turn);
    return listing;
  }

  return {
    async load() {
      const rows = new Map<ConnectorId, InventoryTool[]>();
      for (const row of await inventory.tools(tenant)) {
        const connector = row.connector as ConnectorId;
        if (!described.has(connector)) continue;
        const ofConnector = rows.get(connector);
        if (ofConnector === undefined) rows.set(connector, [row]);
        else ofConnector.push(row);
      }
      for (const [id, seen] of rows) known.set(id, await govern(id, restoreListed(seen)));
      index();
    },
    refresh,
    byExposedName: (name) => tools.exposed.get(name),
    find(kind, name, scope) {
      const items = kind === 'tool' ? tools : prompts;
      return scope === undefined ? items.exposed.get(name) : items.scoped.get(scope)?.get(name);
    },
    shownName,
    routeUri: (uri, scope) => routeUri(served, uri, scope),
    tools: () => tools.all,
    prompts: () => prompts.all,
    templates: () => templates,
    resources: () => resources,
    problems: () => failed,
    suspend(connectors) {
      suspended = new Set(connectors);
      index();
    },
    get version() {
      return version;
    },
  };
}

/** The same object for the same item, as what is rendered and decided of one is kept by identity. */
function createSuspendedItems(): (item: GovernedTool) => GovernedTool {
  const known = new WeakMap<GovernedTool, GovernedTool>();
  return (item) => {
    let as = known.get(item);
    if (as === undefined) {
      as = { ...item, status: 'suspended' };
      known.set(item, as);
    }
    return as;
  };
}

function changedKinds(before: GovernedItems, after: GovernedItems): ListedKind[] {
  const kinds: ListedKind[] = [];
  if (signature(before.tools) !== signature(after.tools)) kinds.push('tools');
  if (signature(before.prompts) !== signature(after.prompts)) kinds.push('prompts');
  if (signature(before.templates) !== signature(after.templates)) kinds.push('resources');
  return kinds;
}

/** The same for the same items in any order. */
function signature(items: readonly (GovernedTool | GovernedTemplate)[]): string {
  const parts = items.map((one) => {
    const status = 'item' in one ? one.item?.status : one.status;
    return `${one.definition.fingerprint} ${status}`;
  });
  return parts.sort().join('\n');
}
