import type { PolicyJson, TypeAndId } from '@cedar-policy/cedar-wasm/nodejs';
import { isRemitError } from '../../domain/errors.ts';
import type { AgentId, ToolRef } from '../../domain/ids.ts';
import { cedar } from './cedar.ts';
import { DISCOVER, uid } from './cedar-names.ts';
import { matchesTool, readPrincipalScope } from './cedar-scopes.ts';
import { type LoadedPolicies, type LoadedPolicy, loadPolicies } from './load-policies.ts';
import { indexInventory, type PolicyTool } from './policy-inventory.ts';

/** One way in which a permit was needed: by whom, and for what. */
export interface PolicyUse {
  readonly kind: 'user' | 'agent';
  readonly id: string;
  /** Of a user, as `issuer#group`. */
  readonly groups: readonly string[];
  readonly action: 'discover' | 'call';
  readonly tool: ToolRef;
}

/** A permit beside what was used of it. */
export interface NarrowedPolicy {
  readonly id: string;
  readonly file: string;
  readonly line: number;
  readonly change: 'kept' | 'narrowed' | 'unused';
  /** Pairs of agent and callable item that its scope holds, and how many of them were called. For users items alone count. */
  readonly granted: number;
  readonly used: number;
  /** What to write in its place, of `narrowed`. */
  readonly text?: string;
}

/** Who needed a permit for what, gathered from calls that were made again. */
export class PolicyUses {
  readonly #byPolicy = new Map<string, Map<string, PolicyUse>>();

  /** A permit that determined an answer. */
  note(policy: string, use: PolicyUse): void {
    const known = this.#byPolicy.get(policy) ?? new Map<string, PolicyUse>();
    known.set(JSON.stringify([use.kind, use.kind === 'agent' ? use.id : '', use.action, use.tool]), use);
    this.#byPolicy.set(policy, known);
  }

  of(policy: string): readonly PolicyUse[] {
    return [...(this.#byPolicy.get(policy)?.values() ?? [])];
  }
}

/** Permits whose scope covers a use: for a call that cannot be made again, any of them may have been the one. */
export function permitsCovering({ policies, inventory }: LoadedPolicies): (use: PolicyUse) => readonly string[] {
  const { tools } = indexInventory(inventory);
  const permits = policies.filter(({ effect }) => effect === 'permit');
  return (use) => {
    const tool = tools.get(use.tool);
    return tool === undefined ? [] : permits.filter((one) => covers(one, use, tool)).map(({ id }) => id);
  };
}

function covers({ json }: LoadedPolicy, { kind, id, groups, action }: PolicyUse, tool: PolicyTool): boolean {
  const scope = readPrincipalScope(json);
  if (!scope.kinds.has(kind) || !matchesTool(json, action, tool)) return false;
  if (scope.named !== undefined) return scope.named === id;
  return scope.group === undefined || groups.includes(scope.group);
}

/**
 * Narrows each permit, within its own scope, to what it was needed for: its conditions stay word for word, a `forbid` as it is. What would not
 * pass strict validation is kept as it was.
 */
export function narrowPolicies(loaded: LoadedPolicies, uses: PolicyUses): NarrowedPolicy[] {
  const estate = indexInventory(loaded.inventory);
  const taken = new Set(loaded.policies.map(({ id }) => id));
  return loaded.policies
    .filter(({ effect }) => effect === 'permit')
    .map((policy): NarrowedPolicy => {
      const scope = readPrincipalScope(policy.json);
      const tools = [...estate.tools.values()].filter((tool) => matchesTool(policy.json, 'call', tool));
      const agents = [...estate.agents.keys()].filter((id) => (scope.named ?? id) === id && scope.group === undefined);
      const perTool = (scope.kinds.has('agent') ? agents.length : 0) + (scope.kinds.has('user') ? 1 : 0);
      const needed = uses.of(policy.id);
      const { id, file, line } = policy;
      const used = needed.filter(({ action }) => action === 'call').length;
      const about = { id, file, line, granted: tools.length * perTool, used };
      if (needed.length === 0) return { ...about, change: 'unused' };
      const parts = narrowedParts(policy, needed, taken);
      if (parts === undefined || !isValid(loaded, policy, parts)) return { ...about, change: 'kept' };
      return { ...about, change: 'narrowed', text: parts.join('\n\n') };
    });
}

/** The same permit once for each agent that needed it, and once for users; undefined where that would be the permit itself. */
function narrowedParts(policy: LoadedPolicy, needed: readonly PolicyUse[], taken: Set<string>): string[] | undefined {
  const { json, id } = policy;
  const isOpen = json.principal.op === 'All' || (json.principal.op === 'is' && json.principal.in === undefined);
  const subjects = new Map<string, PolicyUse[]>();
  for (const use of needed) {
    const subject = !isOpen ? '' : use.kind === 'agent' ? use.id : USERS;
    subjects.set(subject, [...(subjects.get(subject) ?? []), use]);
  }
  const texts: string[] = [];
  let isChanged = false;
  for (const [subject, own] of [...subjects].sort(([a], [b]) => (a < b ? -1 : 1))) {
    const narrowed: PolicyJson = {
      ...json,
      principal: subject === '' ? json.principal : principalOf(subject),
      action: actionOf(json, own),
      annotations: { ...json.annotations, id: newId(id, subject, taken) },
    };
    isChanged ||=
      JSON.stringify([narrowed.principal, narrowed.action]) !== JSON.stringify([json.principal, json.action]);
    const text = cedar.policyToText(narrowed);
    if (text.type !== 'success') return undefined;
    texts.push(text.text);
  }
  return isChanged ? texts : undefined;
}

const USERS = 'users';

function principalOf(subject: string): PolicyJson['principal'] {
  return subject === USERS
    ? { op: 'is', entity_type: uid('User', '').type }
    : { op: '==', entity: uid('Agent', subject as AgentId) };
}

/** The items that were called, and listing where anything was listed. A single action is as narrow as it can be. */
function actionOf(json: PolicyJson, uses: readonly PolicyUse[]): PolicyJson['action'] {
  if (json.action.op === '==') return json.action;
  const called = uses.filter(({ action }) => action === 'call').map(({ tool }) => tool);
  const names = [
    ...(uses.some(({ action }) => action === 'discover') ? [DISCOVER] : []),
    ...[...new Set<string>(called)].sort(),
  ];
  const entities: TypeAndId[] = names.map((name) => uid('Action', name));
  return entities.length === 1 ? { op: '==', entity: entities[0] as TypeAndId } : { op: 'in', entities };
}

/** One that no other policy has; its own where it stays one. */
function newId(id: string, subject: string, taken: Set<string>): string {
  const plain = id.replace(/[^\w.:-]+/g, '-');
  const wanted = subject === '' ? plain : `${plain}-${subject}`;
  let name = wanted;
  for (let count = 2; name !== id && taken.has(name); count += 1) name = `${wanted}-${count}`;
  taken.add(name);
  return name;
}

function isValid({ policies, inventory }: LoadedPolicies, replaced: LoadedPolicy, parts: readonly string[]): boolean {
  const files = policies.map((policy, index) => ({
    path: `${index}.cedar`,
    text: policy === replaced ? parts.join('\n') : policy.text,
  }));
  try {
    loadPolicies(files, inventory);
    return true;
  } catch (error) {
    if (isRemitError(error, 'ERR_POLICY_INVALID')) return false;
    throw error;
  }
}
