import type { CedarValueJson, PolicyJson, TypeAndId } from '@cedar-policy/cedar-wasm/nodejs';
import { isGroupAction } from './cedar-names.ts';

/** Which parts of the context a policy looks at: `whole` at a leaf, or where a record is used as one value. */
export interface ContextTree {
  whole: boolean;
  readonly fields: Map<string, ContextTree>;
}

/**
 * What the conditions of a policy can look at: whatever is not named here cannot change its outcome, and so need not be
 * sent to Cedar, where marshalling costs more than deciding.
 */
export interface References {
  readonly context: ContextTree;
  /** Names of entity attributes, of whatever entity. */
  readonly attributes: Set<string>;
  readonly variables: Set<string>;
  /** Whether an `in` looks at an entity's parents. */
  looksAtParents: boolean;
  /** Entities that are named in a condition. */
  readonly literals: TypeAndId[];
  /** Action groups named elsewhere than at the right of `in`: no request carries one, so the test can never hold. */
  readonly comparedGroups: TypeAndId[];
}

type Node = Readonly<Record<string, unknown>>;

function emptyReferences(): References {
  return {
    context: { whole: false, fields: new Map() },
    attributes: new Set(),
    variables: new Set(),
    looksAtParents: false,
    literals: [],
    comparedGroups: [],
  };
}

/**
 * Reads the conditions of a policy.
 * @throws Error for an expression that is not known here, because guessing what it looks at would be unsound, and for a
 * number that does not survive the way through JSON
 */
export function readReferences(policy: PolicyJson): References {
  const found = emptyReferences();
  for (const clause of policy.conditions) walk(clause.body as Node, found);
  return found;
}

/** What all of several policies look at. */
export function joinReferences(all: readonly References[]): References {
  const joined = emptyReferences();
  for (const one of all) {
    joinTrees(joined.context, one.context);
    for (const name of one.attributes) joined.attributes.add(name);
    for (const name of one.variables) joined.variables.add(name);
    joined.looksAtParents ||= one.looksAtParents;
    joined.literals.push(...one.literals);
  }
  return joined;
}

function joinTrees(into: ContextTree, from: ContextTree): void {
  into.whole ||= from.whole;
  for (const [name, tree] of from.fields) joinTrees(fieldOf(into, name), tree);
}

function fieldOf(tree: ContextTree, name: string): ContextTree {
  let field = tree.fields.get(name);
  if (field === undefined) {
    field = { whole: false, fields: new Map() };
    tree.fields.set(name, field);
  }
  return field;
}

const BINARY = new Set('== != < <= > >= && || + - * in contains containsAll containsAny getTag hasTag'.split(' '));
const UNARY = new Set(['!', 'neg', 'isEmpty']);

function walk(node: Node, found: References): void {
  const keys = Object.keys(node);
  const operator = keys[0];
  if (keys.length !== 1 || operator === undefined) throw new Error('an expression is not one operator');
  const body = node[operator] as Node;
  if (operator === 'Value') readLiterals(body as CedarValueJson, found, false);
  else if (operator === 'Var') {
    found.variables.add(body as unknown as string);
    if ((body as unknown) === 'context') found.context.whole = true;
  } else if (operator === '.') walkAttribute(node, found);
  else if (operator === 'has') walkHas(body, found);
  else if (operator === 'is') {
    walk(body.left as Node, found);
    if (body.in !== undefined) walkIn(body.in as Node, found);
  } else if (operator === 'in') {
    walk(body.left as Node, found);
    walkIn(body.right as Node, found);
  } else if (operator === 'like') walk(body.left as Node, found);
  else if (operator === 'if-then-else') for (const part of ['if', 'then', 'else']) walk(body[part] as Node, found);
  else if (operator === 'Record') for (const part of Object.values(body)) walk(part as Node, found);
  else if (UNARY.has(operator)) walk(body.arg as Node, found);
  else if (BINARY.has(operator)) {
    walk(body.left as Node, found);
    walk(body.right as Node, found);
  } else if (Array.isArray(body)) for (const part of body) walk(part as Node, found);
  else throw new Error(`the expression ${JSON.stringify(operator)} is not supported here`);
}

/** Node of the tree that `context.a.b` names; undefined for an expression that does not start at the context. */
function contextField(node: Node, found: References): ContextTree | undefined {
  if (node.Var === 'context') return found.context;
  const access = node['.'] as { left: Node; attr: string } | undefined;
  const left = access && contextField(access.left, found);
  return access && left && fieldOf(left, access.attr);
}

function walkAttribute(node: Node, found: References): void {
  const field = contextField(node, found);
  if (field !== undefined) {
    field.whole = true;
    return;
  }
  const { left, attr } = node['.'] as { left: Node; attr: string };
  found.attributes.add(attr);
  walk(left, found);
}

function walkHas(body: Node, found: References): void {
  const names = Array.isArray(body.attr) ? (body.attr as string[]) : [body.attr as string];
  let field = contextField(body.left as Node, found);
  if (field !== undefined) {
    for (const name of names) field = fieldOf(field, name);
    return;
  }
  for (const name of names) found.attributes.add(name);
  walk(body.left as Node, found);
}

function walkIn(right: Node, found: References): void {
  found.looksAtParents = true;
  if ('Value' in right) readLiterals(right.Value as CedarValueJson, found, true);
  else if (Array.isArray(right.Set)) {
    for (const member of right.Set as Node[]) {
      if ('Value' in member) readLiterals(member.Value as CedarValueJson, found, true);
      else walk(member, found);
    }
  } else walk(right, found);
}

function readLiterals(value: CedarValueJson, found: References, isRightOfIn: boolean): void {
  // Cedar's integers have 64 bits, a policy in JSON only 53: another number than the one written would decide.
  if (typeof value === 'number' && !Number.isSafeInteger(value)) {
    throw new Error('a number beyond ±(2^53 − 1) is not supported');
  }
  if (typeof value !== 'object' || value === null) return;
  const entity = (value as { __entity?: TypeAndId }).__entity;
  if (entity !== undefined) {
    found.literals.push(entity);
    if (!isRightOfIn && isGroupAction(entity)) found.comparedGroups.push(entity);
    return;
  }
  for (const part of Object.values(value)) readLiterals(part as CedarValueJson, found, isRightOfIn);
}
