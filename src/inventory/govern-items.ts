import { messageOf } from '../domain/errors.ts';
import type { ConnectorId } from '../domain/ids.ts';
import { isJsonObject, type JsonObject } from '../domain/json.ts';
import {
  type GovernedTool,
  type ItemKind,
  isMisleadingName,
  itemName,
  itemRef,
  type ToolDefinition,
  type ToolProfile,
} from '../domain/tool.ts';
import { bestMatch, coversTemplate } from '../domain/uri-pattern.ts';
import type { Log } from '../seams/clock.ts';
import { exposeName } from './expose-name.ts';
import { fingerprint } from './fingerprint.ts';
import { inspectDefinition, isUnusable } from './inspect-definition.ts';
import { type RoutedResource, toRouted } from './match-uri.ts';

/** What a server lists of itself: raw definitions. */
export interface ListedItems {
  readonly tools: readonly JsonObject[];
  readonly prompts: readonly JsonObject[];
  readonly templates: readonly JsonObject[];
}

/** What an owner describes of a connector. */
export interface DescribedItems {
  readonly id: ConnectorId;
  /** Of tools, by the server's own name. */
  readonly profiles: ReadonlyMap<string, ToolProfile>;
  /** By URI pattern. */
  readonly resources: ReadonlyMap<string, ToolProfile>;
  readonly prompts: ReadonlyMap<string, ToolProfile>;
}

/** A resource template as its server lists it. */
export interface ListedTemplate {
  readonly connector: ConnectorId;
  readonly raw: JsonObject;
  /** The described resource that it belongs to, quarantined where the template has changed; undefined when it belongs to none. */
  readonly item: GovernedTool | undefined;
}

export interface GovernedTemplate extends ListedTemplate {
  readonly definition: ToolDefinition;
}

export interface GovernedItems {
  readonly tools: readonly GovernedTool[];
  readonly prompts: readonly GovernedTool[];
  readonly templates: readonly GovernedTemplate[];
  /** Definitions to be pinned, by the inventory's name of their item. */
  readonly pins: ReadonlyMap<string, ToolDefinition>;
}

/** Characters of a name, and of a URI template. */
const LONGEST_NAME = 256;
const LONGEST_TEMPLATE = 2048;

/** The described resources of a connector: they hold whether its server has been asked or not. */
export function resourcesOf({ id, resources }: DescribedItems): readonly RoutedResource[] {
  return [...resources].map(([pattern, profile]) => {
    const definition = define(id, pattern, { uriTemplate: pattern });
    return toRouted({ ...identify(id, 'resource', pattern), definition, profile, status: 'described' });
  });
}

/**
 * Joins what a server lists with what its owner described, and with what was pinned before. What cannot be used at all is left out, and
 * costs no other item its place.
 * @param pinned fingerprints by the inventory's name of an item
 */
export function governItems(
  described: DescribedItems,
  resources: readonly RoutedResource[],
  listed: ListedItems,
  pinned: ReadonlyMap<string, string>,
  log: Log,
): GovernedItems {
  const { id } = described;
  const pins = new Map<string, ToolDefinition>();
  const taken = new Set<string>();

  function judge(key: string, definition: ToolDefinition, profile: ToolProfile | undefined): GovernedTool['status'] {
    if (isUnusable(inspectDefinition(definition.raw))) return 'quarantined';
    if (profile === undefined) return 'undescribed';
    const pin = pinned.get(key);
    // An approval that names no definition holds for the first one that is seen under it (attacks A18 and A20).
    const approved = profile.fingerprint ?? pin ?? definition.fingerprint;
    if (definition.fingerprint !== approved) return 'quarantined';
    if (pin !== approved) pins.set(key, definition);
    return 'described';
  }

  function each<T>(kind: ItemKind, raws: readonly JsonObject[], govern: (name: string, raw: JsonObject) => T): T[] {
    const governed: T[] = [];
    for (const raw of raws) {
      const name = kind === 'resource' ? raw.uriTemplate : raw.name;
      try {
        const key = itemName(kind, usableName(kind, name));
        if (taken.has(key)) throw new Error('it is listed twice');
        governed.push(govern(name as string, raw));
        taken.add(key);
      } catch (error) {
        const shown = typeof name === 'string' ? name.slice(0, 80) : undefined;
        log.warn({ connector: id, kind, name: shown, error: messageOf(error) }, 'a listed item is left out');
      }
    }
    return governed;
  }

  const named =
    (kind: 'tool' | 'prompt', profiles: ReadonlyMap<string, ToolProfile>) => (name: string, raw: JsonObject) => {
      const definition = define(id, name, raw);
      const profile = profiles.get(name);
      return {
        ...identify(id, kind, name),
        definition,
        profile,
        status: judge(itemName(kind, name), definition, profile),
      };
    };
  return {
    tools: each('tool', listed.tools, named('tool', described.profiles)),
    prompts: each('prompt', listed.prompts, named('prompt', described.prompts)),
    templates: each('resource', listed.templates, (name, raw) => {
      const definition = define(id, name, raw);
      const best = bestMatch(resources, (pattern) => coversTemplate(pattern, name))?.item;
      const status = judge(itemName('resource', name), definition, best?.profile);
      const item = best === undefined || status === best.status ? best : { ...best, definition, status };
      return { connector: id, raw, item, definition };
    }),
    pins,
  };
}

function usableName(kind: ItemKind, name: unknown): string {
  if (typeof name !== 'string' || name === '') throw new Error('it has no name');
  if (name.length > (kind === 'resource' ? LONGEST_TEMPLATE : LONGEST_NAME)) throw new Error('its name is too long');
  if (kind === 'tool' && isMisleadingName(name)) throw new Error('it has the name of an item of another kind');
  return name;
}

/** @throws RangeError for a definition that is nested without end */
function define(connector: ConnectorId, name: string, raw: JsonObject): ToolDefinition {
  const description = typeof raw.description === 'string' ? raw.description : '';
  return { connector, name, description, raw, fingerprint: fingerprint(raw) };
}

function identify(connector: ConnectorId, kind: ItemKind, name: string) {
  const exposedName = kind === 'resource' ? name : exposeName(connector, name);
  return { kind, ref: itemRef(connector, kind, name), connector, name, exposedName };
}

/** What was listed, out of the definitions that were kept of it by the inventory's names. */
export function restoreListed(rows: readonly { readonly name: string; readonly definition: object }[]): ListedItems {
  const listed = { tools: [] as JsonObject[], prompts: [] as JsonObject[], templates: [] as JsonObject[] };
  for (const { name, definition } of rows) {
    if (!isJsonObject(definition)) continue;
    if (name.startsWith('prompt:')) listed.prompts.push(definition);
    else if (!name.startsWith('resource:')) listed.tools.push(definition);
    else if (definition.uriPattern === undefined) listed.templates.push(definition);
  }
  return listed;
}
