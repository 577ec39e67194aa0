import type { PolicyJson } from '@cedar-policy/cedar-wasm/nodejs';

type Conditions = PolicyJson['conditions'];
type Condition = Conditions[number];
type Sides = { readonly left: Condition['body']; readonly right: Condition['body'] };

/** The same conditions, the smallest that must each hold: `when { a && b }` is two, and so is `unless { a || b }`. */
export function splitConditions(conditions: Conditions): Condition[] {
  return conditions.flatMap(({ kind, body }) => {
    const joined = (body as Readonly<Record<string, unknown>>)[kind === 'when' ? '&&' : '||'] as Sides | undefined;
    if (joined === undefined) return [{ kind, body }];
    return splitConditions([
      { kind, body: joined.left },
      { kind, body: joined.right },
    ]);
  });
}
