import { isJsonObject } from '../domain/json.ts';
import type { ActionClass, ArgumentType, ToolDefinition } from '../domain/tool.ts';
import { CURATED_PROFILES } from './curated-profiles.ts';
import { VERBS } from './flow-words.ts';
import { type ProposedFlow, proposeFlow } from './propose-flow.ts';

/** A profile proposed for a person to approve; never in force by itself. */
export interface ProposedProfile {
  readonly class: ActionClass;
  readonly arguments: Readonly<Record<string, string>>;
  readonly reversible: boolean;
  readonly fingerprint: string;
  /** Where the class comes from, for the reader: `curated`, `name`, `default`. */
  readonly basis: 'curated' | 'name' | 'default';
  /** What it is in the flow of data; none of a prompt. */
  readonly flow?: ProposedFlow;
}

/** Words in a tool's name that tell its class, strictest first: the first that matches wins. */
const NAME_WORDS: readonly (readonly [ActionClass, RegExp])[] = [
  ['secret', /(^|_)(secrets?|credentials?|passwords?|tokens?|keys?)(_|$)/],
  ['privilege', /(^|_)(grant|revoke|permissions?|roles?|invite|members?|policy|chmod|chown|sudo)(_|$)/],
  ['financial', /(^|_)(money|funds|pay|payments?|refunds?|invoices?|transfer|charge|payouts?|transactions?)(_|$)/],
  ['export', /(^|_)(export|send|share|publish|upload|email|forward|post)(_|$)/],
  [
    'code',
    /(^|_)(commit|push|merge|deploy|exec|execute|eval|run|shell|command|install|branch|rebase|reset|checkout)(_|$)/,
  ],
  ['ticket', /(^|_)(tickets?|issues?|comments?)(_|$).*|(create|update|close)_(issue|ticket)/],
  [
    'write',
    /(^|_)(write|edit|create|update|delete|remove|move|rename|insert|set|put|add|drop|patch|copy|upsert|append|clear)(_|$)/,
  ],
  [
    'read',
    /(^|_)(read|get|list|search|find|query|describe|show|fetch|view|tree|info|status|count|directory|think|thinking)(_|$)/,
  ],
];

/** A name that begins with a word for reading and has none for changing: what it reads says nothing of what it does. */
const isPlainRead = (words: string): boolean =>
  /^(get|list|search|find|read|show|view|query|describe|count|check|lookup|fetch)_/.test(words) &&
  !words
    .split('_')
    .slice(1)
    .some((word) => Object.hasOwn(VERBS, word) && !NOUNS.has(word));

/** Verbs that are as often what something is called. */
const NOUNS: ReadonlySet<string> = new Set([
  'email',
  'post',
  'comment',
  'order',
  'book',
  'schedule',
  'run',
  'set',
  'move',
  'transfer',
  'refund',
]);

/** Proposes a profile from the curated table, the name and the input schema. Annotations are not asked: they are the server's own word. */
export function proposeProfile(definition: ToolDefinition): ProposedProfile {
  const words = definition.name
    .replace(/([a-z0-9])([A-Z])/g, '$1_$2')
    .toLowerCase()
    .replace(/[^a-z0-9]+/g, '_');
  const curated = CURATED_PROFILES.find(
    (entry) => entry.tool === definition.name && entry.arguments.every((name) => name in propertiesOf(definition)),
  );
  const byName =
    NAME_WORDS.find(([name, pattern]) => pattern.test(words) && (name === 'secret' || !isPlainRead(words))) ??
    (isPlainRead(words) ? (['read'] as const) : undefined);
  // Nothing known means the worst that is still common: a person will look at it.
  const actionClass = curated?.class ?? byName?.[0] ?? 'write';
  return {
    class: actionClass,
    arguments: proposeArguments(definition),
    reversible: curated?.reversible ?? false,
    fingerprint: definition.fingerprint,
    basis: curated ? 'curated' : byName ? 'name' : 'default',
    flow: proposeFlow(definition, actionClass),
  };
}

/** Proposes a profile for a prompt. It gives text, so its class is `read`; all its arguments are texts (MCP `PromptArgument`). */
export function proposePromptProfile({ raw, fingerprint }: ToolDefinition): ProposedProfile {
  const given = Array.isArray(raw.arguments) ? raw.arguments.filter(isJsonObject) : [];
  const named = given.flatMap(({ name, required }) =>
    typeof name === 'string' && name !== '' ? [[name, required === true ? 'string' : 'string?']] : [],
  );
  return { class: 'read', arguments: Object.fromEntries(named), reversible: false, fingerprint, basis: 'default' };
}

function propertiesOf(definition: ToolDefinition): Readonly<Record<string, unknown>> {
  const schema = definition.raw.inputSchema;
  const properties = isJsonObject(schema) ? schema.properties : undefined;
  return isJsonObject(properties) ? properties : {};
}

function proposeArguments(definition: ToolDefinition): Record<string, string> {
  const schema = definition.raw.inputSchema;
  const required = isJsonObject(schema) && Array.isArray(schema.required) ? schema.required : [];
  const proposed: Record<string, string> = {};
  for (const [name, property] of Object.entries(propertiesOf(definition))) {
    const type = argumentType(name, property);
    if (type !== undefined) proposed[name] = required.includes(name) ? type : `${type}?`;
  }
  return proposed;
}

function argumentType(name: string, property: unknown): ArgumentType | undefined {
  if (!isJsonObject(property)) return undefined;
  switch (property.type) {
    case 'string':
      return /(^|_)(path|file|directory|dir|folder|source|destination)$/i.test(name) ? 'path' : 'string';
    case 'integer':
      return 'long';
    case 'boolean':
      return 'boolean';
    case 'array':
      return isJsonObject(property.items) && property.items.type === 'string' ? 'string[]' : undefined;
    default:
      return undefined;
  }
}
