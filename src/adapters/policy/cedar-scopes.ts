import type { ActionConstraint, PolicyJson, ResourceConstraint, TypeAndId } from '@cedar-policy/cedar-wasm/nodejs';
import type { AccessRequest } from '../../domain/decision.ts';
import { CALL, DISCOVER, readUid, uid } from './cedar-names.ts';
import type { PolicyTool } from './policy-inventory.ts';

/** Who a policy's scope can match: one named principal, members of a group, or any principal of the kinds. */
export interface PrincipalScope {
  readonly kinds: ReadonlySet<AccessRequest['subject']['kind']>;
  /** The one principal that it names. */
  readonly named: string | undefined;
  /** The group that its principal must be in. */
  readonly group: string | undefined;
}

const USER = 'Remit::User';
const AGENT = 'Remit::Agent';
const GROUP = 'Remit::Group';
const kindsOf = (type: string) => new Set(type === USER ? ['user' as const] : type === AGENT ? ['agent' as const] : []);

/**
 * Reads the principal scope. Agents have no parents, so `in` an agent means that agent.
 * A template's slot matches nobody here: templates are refused when policies are loaded.
 */
export function readPrincipalScope(policy: PolicyJson): PrincipalScope {
  const scope = policy.principal;
  const nobody: PrincipalScope = { kinds: new Set(), named: undefined, group: undefined };
  if (scope.op === 'All') return { ...nobody, kinds: new Set(['user', 'agent']) };
  if (scope.op === 'is') {
    const kinds = kindsOf(scope.entity_type);
    if (scope.in === undefined) return { ...nobody, kinds };
    if (!('entity' in scope.in)) return nobody;
    const within = memberScope(readUid(scope.in.entity));
    return [...within.kinds].some((kind) => kinds.has(kind)) ? within : nobody;
  }
  if (!('entity' in scope)) return nobody;
  const entity = readUid(scope.entity);
  return scope.op === 'in' ? memberScope(entity) : { ...nobody, kinds: kindsOf(entity.type), named: entity.id };
}

function memberScope({ type, id }: TypeAndId): PrincipalScope {
  if (type === GROUP) return { kinds: new Set(['user']), named: undefined, group: id };
  return { kinds: kindsOf(type), named: id, group: undefined };
}

/** Whether a policy's action and resource scopes match a listing or a call of a tool. */
export function matchesTool(policy: PolicyJson, action: AccessRequest['action'], tool: PolicyTool): boolean {
  return matchesAction(policy.action, action, tool) && matchesResource(policy.resource, tool);
}

/** Actions that a scope names; none: any. */
export function namedActions(scope: ActionConstraint): TypeAndId[] {
  const entities = 'entities' in scope ? scope.entities : 'entity' in scope ? [scope.entity] : [];
  return entities.map(readUid);
}

function matchesAction(scope: ActionConstraint, action: AccessRequest['action'], tool: PolicyTool): boolean {
  if (scope.op === 'All') return true;
  const own = action === 'discover' ? DISCOVER : tool.ref;
  const groups = action === 'discover' || scope.op === '==' ? [] : [tool.profile.actionClass, CALL];
  return namedActions(scope).some((entity) => [own, ...groups].some((id) => isSame(entity, uid('Action', id))));
}

function matchesResource(scope: ResourceConstraint, tool: PolicyTool): boolean {
  if (scope.op === 'All') return true;
  if (scope.op === 'is') {
    if (scope.entity_type !== uid('Tool', '').type) return false;
    return scope.in === undefined || ('entity' in scope.in && isTool(readUid(scope.in.entity), tool, true));
  }
  return 'entity' in scope && isTool(readUid(scope.entity), tool, scope.op === 'in');
}

function isTool(entity: TypeAndId, tool: PolicyTool, orItsConnector: boolean): boolean {
  return isSame(entity, uid('Tool', tool.ref)) || (orItsConnector && isSame(entity, uid('Connector', tool.connector)));
}

const isSame = (a: TypeAndId, b: TypeAndId): boolean => a.type === b.type && a.id === b.id;

/**
 * The policy with its scope reduced to what is still open once it has been chosen for a tool, an action and a principal:
 * membership of a group. Cedar then needs neither the tool's nor the action's parents.
 */
export function reduceScope(policy: PolicyJson): PolicyJson {
  const { group } = readPrincipalScope(policy);
  return {
    effect: policy.effect,
    principal: group === undefined ? { op: 'All' } : { op: 'in', entity: uid('Group', group) },
    action: { op: 'All' },
    resource: { op: 'All' },
    conditions: policy.conditions,
  };
}

/** Entities that the scope of a policy names. */
export function scopeEntities(policy: PolicyJson): TypeAndId[] {
  const named: TypeAndId[] = [];
  for (const scope of [policy.principal, policy.action, policy.resource]) {
    if ('entity' in scope) named.push(readUid(scope.entity));
    if ('entities' in scope) named.push(...scope.entities.map(readUid));
    if ('in' in scope && scope.in !== undefined && 'entity' in scope.in) named.push(readUid(scope.in.entity));
  }
  return named;
}
