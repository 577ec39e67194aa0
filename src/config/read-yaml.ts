import { type Document, isMap, isNode, isScalar, LineCounter, parseDocument } from 'yaml';
import type { z } from 'zod';
import { messageOf } from '../domain/errors.ts';

/** A file's values, and where each stands in it. */
export interface YamlFile<T> {
  readonly value: T;
  /** `file:line:column` of a key path: at the key, or at the item of a list; at the nearest parent that exists when it is absent. */
  at(keys: readonly PropertyKey[]): string;
}

/** Reads a YAML text by a schema; or every problem as `file:line:column: path: what`. `path` is for messages only. */
export function readYaml<S extends z.ZodType>(
  text: string,
  path: string,
  schema: S,
): YamlFile<z.output<S>> | { readonly problems: string[] } {
  const lines = new LineCounter();
  const document = parseDocument(text, { lineCounter: lines, uniqueKeys: true, strict: true });
  const atOffset = (offset: number): string => {
    const { line, col } = lines.linePos(offset);
    return `${path}:${line}:${col}`;
  };
  if (document.errors.length > 0) {
    return { problems: document.errors.map((error) => `${atOffset(error.pos[0])}: ${error.message.split('\n')[0]}`) };
  }
  let values: unknown;
  try {
    values = document.toJS();
  } catch (error) {
    // An alias to nothing, or aliases that multiply beyond measure, show themselves only here.
    return { problems: [`${path}: ${messageOf(error)}`] };
  }
  const at = (keys: readonly PropertyKey[]): string => atOffset(offsetOf(document, keys));
  const parsed = schema.safeParse(values);
  if (parsed.success) return { value: parsed.data, at };
  return { problems: parsed.error.issues.flatMap((issue) => describeIssue(issue, at)) };
}

export const keyPath = (keys: readonly PropertyKey[]): string =>
  keys.length === 0 ? '(whole file)' : keys.map(String).join('.');

type Position = (keys: readonly PropertyKey[]) => string;

function describeIssue(issue: z.core.$ZodIssue, position: Position): string[] {
  if (issue.code === 'unrecognized_keys') {
    return issue.keys.map((key) => `${position([...issue.path, key])}: ${keyPath([...issue.path, key])}: unknown key`);
  }
  if (issue.code === 'invalid_union') {
    // The branch that got furthest says most; the others only say that they are other branches.
    const [furthest = []] = [...issue.errors].sort((a, b) => shallowest(b) - shallowest(a));
    if (furthest.length > 0 && shallowest(furthest) > 1) {
      return furthest.flatMap((inner) => describeIssue({ ...inner, path: [...issue.path, ...inner.path] }, position));
    }
  }
  if (issue.code === 'invalid_key') {
    return issue.issues.map((inner) => `${position(issue.path)}: ${keyPath(issue.path)}: ${inner.message}`);
  }
  return [`${position(issue.path)}: ${keyPath(issue.path)}: ${issue.message}`];
}

/** How deep below a union its first problem lies: 1 where the branch's own keys are not those of the value. */
function shallowest(branch: readonly z.core.$ZodIssue[]): number {
  return Math.min(...branch.map(({ code, path }) => path.length + (code === 'unrecognized_keys' ? 1 : 0)));
}

function offsetOf(document: Document, keys: readonly PropertyKey[]): number {
  for (let length = keys.length; length > 0; length--) {
    const last = keys[length - 1];
    const parent = length === 1 ? document.contents : document.getIn(keys.slice(0, length - 1), true);
    const pair = isMap(parent)
      ? parent.items.find(({ key }) => (isScalar(key) ? String(key.value) : key) === last)
      : undefined;
    const node = pair?.key ?? document.getIn(keys.slice(0, length), true);
    if (isNode(node) && node.range) return node.range[0];
  }
  return 0;
}
