import type { PolicyJson } from '@cedar-policy/cedar-wasm/nodejs';
import { NAMESPACE } from './cedar-names.ts';
import type { References } from './cedar-references.ts';
import { buildSchema } from './cedar-schema.ts';
import { namedActions } from './cedar-scopes.ts';
import type { Estate, PolicyInventory } from './policy-inventory.ts';

/** Up to so many tools, all policies are validated against the whole schema at once. */
const FEW_TOOLS = 200;
/** Actions of one part. Each policy of it is looked at with each of them. */
const ACTIONS_A_PART = 25;

export interface Validated {
  readonly json: PolicyJson | undefined;
  readonly references: References | undefined;
}

/** Policies, and as much of the schema as they can be about. */
export interface ValidationPart<T> {
  readonly schema: string;
  readonly drafts: readonly T[];
}

/**
 * Cedar validates each policy with each action of the schema, so that a thousand policies over thousands of tools take minutes. What names one
 * action, in its scope and nowhere else, is about no other: it is validated against a schema with that one and a few more.
 * @param whole the schema of everything, which all others are validated against
 */
export function partsToValidate<T extends Validated>(
  drafts: readonly T[],
  whole: string,
  inventory: PolicyInventory,
  { tools }: Pick<Estate, 'tools'>,
  fewTools = FEW_TOOLS,
): readonly ValidationPart<T>[] {
  if (tools.size <= fewTools) return [{ schema: whole, drafts }];
  const byAction = new Map<string, T[]>();
  const others: T[] = [];
  for (const draft of drafts) {
    const action = onlyAction(draft);
    if (action === undefined || !tools.has(action)) others.push(draft);
    else byAction.set(action, [...(byAction.get(action) ?? []), draft]);
  }
  const parts: ValidationPart<T>[] = others.length === 0 ? [] : [{ schema: whole, drafts: others }];
  const actions = [...byAction.keys()];
  for (let from = 0; from < actions.length; from += ACTIONS_A_PART) {
    const some = new Set(actions.slice(from, from + ACTIONS_A_PART));
    parts.push({
      schema: buildSchema(only(inventory, some)),
      drafts: [...some].flatMap((action) => byAction.get(action) ?? []),
    });
  }
  return parts;
}

function onlyAction({ json, references }: Validated): string | undefined {
  if (json === undefined || references === undefined || json.action.op !== '==') return undefined;
  if (references.literals.some(({ type }) => type === `${NAMESPACE}::Action`)) return undefined;
  return namedActions(json.action)[0]?.id;
}

/** The same inventory with some of its tools. */
function only(inventory: PolicyInventory, refs: ReadonlySet<string>): PolicyInventory {
  return {
    agents: inventory.agents,
    connectors: inventory.connectors.map((connector) => ({
      ...connector,
      tools: connector.tools.filter(({ name }) => refs.has(`${connector.id}/${name}`)),
    })),
  };
}
