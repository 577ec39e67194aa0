import { RE2JS } from 're2js';
import { isJsonObject, type JsonObject } from '../domain/json.ts';
import { withoutHidden } from '../domain/visible-text.ts';

/** Something about a definition that its approver should know. */
export interface DefinitionFlag {
  readonly kind:
    | 'hidden_characters'
    | 'network_reference'
    | 'unsafe_pattern'
    | 'invalid_header_mark'
    | 'too_deep'
    | 'too_large';
  /** JSON Pointer (RFC 6901) into the definition. */
  readonly at: string;
  readonly detail: string;
}

/** Deeper schemas than this are refused; real ones stay below 20. */
export const MAX_DEPTH = 64;
/** Members and items of one definition. */
export const MAX_NODES = 20_000;
const MAX_PATTERN = 1_000;
const MAX_FLAGS = 50;

/**
 * Looks over a definition as its server gave it. Nothing is fetched and no pattern of the server is run: a reference into the network is
 * named, and a pattern is held against a linear-time engine's grammar (fault 46), which has no back-references and no look-around.
 * An item that is too deep or too large is never shown nor callable; of the others the offending part is left out of what clients see.
 */
export function inspectDefinition(definition: JsonObject): readonly DefinitionFlag[] {
  const flags: DefinitionFlag[] = [];
  let nodes = 0;
  const flag = (kind: DefinitionFlag['kind'], at: string, detail: string): void => {
    if (flags.length < MAX_FLAGS) flags.push({ kind, at, detail });
  };
  const look = (value: unknown, at: string, depth: number): boolean => {
    nodes += 1;
    if (nodes > MAX_NODES) {
      flag('too_large', '', `more than ${MAX_NODES} members`);
      return false;
    }
    if (depth > MAX_DEPTH) {
      flag('too_deep', at, `nested deeper than ${MAX_DEPTH} levels`);
      return false;
    }
    if (typeof value === 'string') lookAtText(value, at);
    else if (Array.isArray(value)) return value.every((item, index) => look(item, `${at}/${index}`, depth + 1));
    else if (isJsonObject(value)) {
      if (PROPERTY.test(at) && Object.hasOwn(value, 'x-mcp-header')) lookAtMark(value, at);
      for (const [name, member] of Object.entries(value)) {
        const below = `${at}/${name.replaceAll('~', '~0').replaceAll('/', '~1')}`;
        if (withoutHidden(name) !== name) flag('hidden_characters', below, 'in a name');
        if (isNetworkReference(name, member)) flag('network_reference', below, String(member).slice(0, 200));
        if (isUnsafePattern(name, member)) flag('unsafe_pattern', below, 'not a bounded, linear-time pattern');
        if (!look(member, below, depth + 1)) return false;
      }
    }
    return true;
  };
  const lookAtText = (text: string, at: string): void => {
    const hidden = text.length - withoutHidden(text).length;
    if (hidden > 0) flag('hidden_characters', at, `${hidden} UTF-16 units that people do not see`);
  };
  const marks = new Set<string>();
  const lookAtMark = (property: JsonObject, at: string): void => {
    const problem = headerMarkProblem(property, marks);
    if (problem !== undefined) flag('invalid_header_mark', at, problem);
  };
  look(definition, '', 0);
  return flags;
}

/** Flags with which an item cannot be used at all. */
export const isUnusable = (flags: readonly DefinitionFlag[]): boolean =>
  flags.some(({ kind }) => kind === 'too_deep' || kind === 'too_large' || kind === 'invalid_header_mark');

/** A property of the input, at any depth. */
const PROPERTY = /^\/inputSchema\/(?:.*\/)?properties\/[^/]+$/;
/** RFC 9110 §5.6.2. */
const TOKEN = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/;

/**
 * What is wrong with an `x-mcp-header` mark (2026-07-28, tools): the header's name must be a token and used once, the argument a text, an
 * integer or a boolean. A client must not use a tool with a wrong one, because two readers would take its calls differently (attack A13).
 */
function headerMarkProblem(property: JsonObject, marks: Set<string>): string | undefined {
  const { type, 'x-mcp-header': name } = property;
  if (typeof name !== 'string' || !TOKEN.test(name)) return 'its header has no usable name';
  if (type !== 'string' && type !== 'integer' && type !== 'boolean')
    return 'only a text, an integer or a boolean may have a header';
  if (marks.has(name.toLowerCase())) return 'two arguments share a header';
  marks.add(name.toLowerCase());
  return undefined;
}

/** `$ref` and its kin that a client's validator might fetch: anything but a reference within the document. */
export function isNetworkReference(name: string, value: unknown): boolean {
  return (name === '$ref' || name === '$dynamicRef') && typeof value === 'string' && !value.startsWith('#');
}

/** A `pattern` that a backtracking engine could be held up with, or that the linear one does not know. */
export function isUnsafePattern(name: string, value: unknown): boolean {
  if (name !== 'pattern' || typeof value !== 'string') return false;
  if (value.length > MAX_PATTERN) return true;
  try {
    RE2JS.compile(value);
    return hasNestedRepetition(value);
  } catch {
    return true;
  }
}

/** `(a+)+` and its like: a repeated group that ends in something repeated, exponential where the engine backtracks. */
function hasNestedRepetition(pattern: string): boolean {
  return /[*+}]\??\)(?:[*+]|\{\d+,\d*\})/.test(pattern.replace(/\\./g, 'x').replace(/\[[^\]]*\]/g, 'x'));
}
