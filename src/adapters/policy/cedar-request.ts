import type { CedarValueJson, Context, EntityJson, TypeAndId } from '@cedar-policy/cedar-wasm/nodejs';
import type { AccessRequest } from '../../domain/decision.ts';
import type { ArgumentType } from '../../domain/tool.ts';
import { uid } from './cedar-names.ts';
import type { ContextTree, References } from './cedar-references.ts';
import type { Slice } from './cedar-slices.ts';
import { type Attribute, factsOf } from './entity-facts.ts';
import type { Estate, PolicyTool } from './policy-inventory.ts';

/** The context that a slice can look at: fields it never names are left out, which no policy of it can notice. */
export function buildContext(request: AccessRequest, tree: ContextTree): Context {
  const context: Record<string, unknown> = {};
  if (tree.whole) {
    for (const name of CONTEXT_FIELDS) put(context, name, contextField(request, name), WHOLE);
  } else {
    for (const [name, field] of tree.fields) put(context, name, contextField(request, name), field);
  }
  return context as Context;
}

const CONTEXT_FIELDS = ['task', 'environment', 'user', 'args', 'labels', 'provenance', 'risk'];
const WHOLE: ContextTree = { whole: true, fields: new Map() };

/** One field of the context as the schema has it; undefined for one that the request has not. */
function contextField({ action, context }: AccessRequest, name: string): unknown {
  switch (name) {
    case 'task': {
      const { id, template, purpose, startedAt, expiresAt } = context.task;
      return { id, template, purpose, startedAt, expiresAt };
    }
    case 'environment':
      return context.environment;
    case 'user': {
      const { user } = context.principal;
      return user && { issuer: user.issuer, subject: user.subject };
    }
    case 'args':
      return action === 'call' ? context.arguments : undefined;
    case 'labels': {
      if (action !== 'call') return undefined;
      const { trust, dataClasses, zones } = context.labelsOf(context.task);
      return { trust, dataClasses, zones };
    }
    case 'provenance':
      return action === 'call' ? context.provenance : undefined;
    case 'risk':
      return action === 'call' ? context.risk : undefined;
    default:
      return undefined;
  }
}

function put(into: Record<string, unknown>, name: string, value: unknown, tree: ContextTree): void {
  if (value !== undefined) into[name] = prune(value, tree);
}

function prune(value: unknown, tree: ContextTree): CedarValueJson {
  if (tree.whole || typeof value !== 'object' || value === null || Array.isArray(value)) return value as CedarValueJson;
  const kept: Record<string, CedarValueJson> = {};
  for (const [name, field] of tree.fields) {
    if (Object.hasOwn(value, name)) kept[name] = prune((value as Record<string, unknown>)[name], field);
  }
  return kept;
}

/** Why the arguments of a request do not fit the profile; undefined when they do. Cedar itself would not mind. */
export function findMisfit(request: AccessRequest, tool: PolicyTool): string | undefined {
  if (request.action === 'discover') return undefined;
  const args = request.context.arguments;
  let known = 0;
  for (const { name, type, required } of tool.profile.criticalArguments) {
    if (Object.hasOwn(args, name)) {
      known += 1;
      if (!fits(args[name], type)) return `argument ${JSON.stringify(name)} is not a ${type}`;
    } else if (required) return `argument ${JSON.stringify(name)} is missing`;
  }
  return Object.keys(args).length === known ? undefined : 'there is an argument that the profile does not describe';
}

function fits(value: unknown, type: ArgumentType): boolean {
  if (type === 'long') return Number.isSafeInteger(value);
  if (type === 'boolean') return typeof value === 'boolean';
  if (type === 'string[]') return Array.isArray(value) && value.every((item) => typeof item === 'string');
  return typeof value === 'string';
}

/** Entities of a slice that do not depend on who asks: the tool, its connector, what conditions name. */
export function fixedEntities(estate: Estate, tool: PolicyTool, action: AccessRequest['action'], slice: Slice) {
  const { references } = slice;
  if (references.attributes.size === 0 && !references.looksAtParents) return [];
  const wanted = new Map<string, TypeAndId>();
  const want = (entity: TypeAndId) => wanted.set(`${entity.type}::${entity.id}`, entity);
  if (references.variables.has('resource')) {
    want(uid('Tool', tool.ref));
    if (references.attributes.has('connector')) want(uid('Connector', tool.connector));
  }
  if (references.variables.has('action') && action === 'call') want(uid('Action', tool.ref));
  for (const literal of references.literals) want(literal);
  for (const { type, id } of references.literals) {
    const connector = type === uid('Tool', '').type ? estate.tools.get(id)?.connector : undefined;
    if (connector !== undefined) want(uid('Connector', connector));
  }
  return [...wanted.values()]
    .map((entity) => describeEntity(estate, entity, references))
    .filter((entity) => entity !== undefined);
}

/** An entity with the attributes and parents that a slice can look at; undefined for one that has neither. */
function describeEntity(estate: Estate, entity: TypeAndId, references: References): EntityJson | undefined {
  const facts = factsOf(estate, entity);
  if (facts === undefined) return undefined;
  const attrs: Record<string, CedarValueJson> = {};
  for (const [name, value] of Object.entries(facts.attributes)) {
    if (references.attributes.has(name)) attrs[name] = writeAttribute(value);
  }
  return { uid: entity, attrs, parents: [...facts.parents] };
}

function writeAttribute(value: Attribute): CedarValueJson {
  if (typeof value !== 'object') return value;
  return 'type' in value ? { __entity: value } : [...value];
}

/** Groups of the subject that a slice can look at. */
export function relevantGroups(subject: AccessRequest['subject'], slice: Slice): readonly string[] {
  if (subject.kind !== 'user' || slice.groups.size === 0) return [];
  return subject.groups.filter((group) => slice.groups.has(group));
}

/** The asking principal as an entity, where a slice can look at more than its id. */
export function principalEntity(
  estate: Estate,
  subject: AccessRequest['subject'],
  groups: readonly string[],
  slice: Slice,
): EntityJson | undefined {
  if (subject.kind === 'user') {
    if (!slice.needsParents || groups.length === 0) return undefined;
    return { uid: uid('User', subject.id), attrs: {}, parents: groups.map((group) => uid('Group', group)) };
  }
  const { references } = slice;
  if (!references.variables.has('principal') || references.attributes.size === 0) return undefined;
  return describeEntity(estate, uid('Agent', subject.id), references);
}
