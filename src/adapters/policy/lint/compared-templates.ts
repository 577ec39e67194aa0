import type { PolicyJson } from '@cedar-policy/cedar-wasm/nodejs';
import { splitConditions } from './split-conditions.ts';

type Node = Readonly<Record<string, unknown>>;

/** Names that `context.task.template` is compared with anywhere in the conditions of a policy. */
export function comparedTemplates({ conditions }: PolicyJson): string[] {
  const found = new Set<string>();
  const walk = (node: unknown): void => {
    if (typeof node !== 'object' || node === null) return;
    for (const [operator, body] of Object.entries(node as Node)) {
      const { left, right } = (body ?? {}) as Node;
      if (operator === '==' || operator === '!=') {
        if (isTemplate(left)) note(right, found);
        if (isTemplate(right)) note(left, found);
      }
      if (operator === 'contains' && isTemplate(right)) for (const member of membersOf(left)) note(member, found);
      walk(body);
    }
  };
  walk(conditions);
  return [...found];
}

/** The only templates under which a policy can apply; undefined: its conditions do not say so plainly. */
export function onlyTemplates({ conditions }: PolicyJson): readonly string[] | undefined {
  for (const { kind, body } of splitConditions(conditions)) {
    if (kind !== 'when') continue;
    const found = new Set<string>();
    const { '==': equal, contains } = body as { '=='?: Node; contains?: Node };
    if (equal !== undefined && isTemplate(equal.left)) note(equal.right, found);
    if (equal !== undefined && isTemplate(equal.right)) note(equal.left, found);
    if (contains !== undefined && isTemplate(contains.right))
      for (const member of membersOf(contains.left)) note(member, found);
    if (found.size > 0) return [...found];
  }
  return undefined;
}

function isTemplate(node: unknown): boolean {
  const { left, attr } = ((node as Node | undefined)?.['.'] ?? {}) as Node;
  const task = ((left as Node | undefined)?.['.'] ?? {}) as Node;
  return attr === 'template' && task.attr === 'task' && (task.left as Node | undefined)?.Var === 'context';
}

function membersOf(node: unknown): readonly unknown[] {
  const { Set: set, Value: value } = (node ?? {}) as { Set?: unknown; Value?: unknown };
  if (Array.isArray(set)) return set as unknown[];
  return Array.isArray(value) ? value.map((one: unknown) => ({ Value: one })) : [];
}

function note(node: unknown, found: Set<string>): void {
  const { Value: value } = (node ?? {}) as { Value?: unknown };
  if (typeof value === 'string') found.add(value);
}
