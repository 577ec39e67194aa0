import type { SinkKind, Trust } from '../domain/flow.ts';
import { isJsonObject } from '../domain/json.ts';
import type { ActionClass, ToolDefinition } from '../domain/tool.ts';
import { ARGUMENT_KINDS, FETCHES, REACHING, TRUSTED_SOURCE, VERBS } from './flow-words.ts';

/** What a profile may say of flow, as `remit.yaml` has it. */
export interface ProposedFlow {
  readonly source: { readonly trust: Trust; readonly fields?: Readonly<Record<string, string>> };
  readonly sink?: SinkKind;
  readonly critical?: Readonly<Record<string, string>>;
  readonly asked?: readonly string[];
}

/** Proposes from the name, the arguments and the output schema. The description is the server's own word, and says nothing of how far it can be believed. */
export function proposeFlow(definition: ToolDefinition, actionClass: ActionClass): ProposedFlow {
  const words = wordsOf(definition.name);
  const kinds = kindsOf(definition.raw.inputSchema);
  const verbs = words.split('_').filter((word) => Object.hasOwn(VERBS, word));
  const sink = sinkOf(words, verbs, kinds, actionClass);
  const isRead = actionClass === 'read';
  const fields = fieldsOf(definition.raw.outputSchema);
  // A path or an id within one's own system is the agent's to choose; whom something reaches, or what is destroyed, is not.
  const critical = ['none', 'internal'].includes(sink) ? [] : [...kinds].filter(([, kind]) => isCritical(kind, sink));
  const spoken = sink === 'money' ? [...verbs, 'pay', 'refund'] : verbs;
  const asked = [...new Set(spoken.flatMap((verb) => VERBS[verb]?.asked ?? []))];
  return {
    source: {
      trust: TRUSTED_SOURCE.test(words) && isRead ? 'trusted' : 'untrusted',
      ...(Object.keys(fields).length > 0 && { fields }),
    },
    ...(sink !== 'none' && { sink }),
    ...(critical.length > 0 && { critical: Object.fromEntries(critical) }),
    ...(!isRead && asked.length > 0 && { asked }),
  };
}

/** Snake case, whatever the name is written in. */
const wordsOf = (name: string): string =>
  name
    .replace(/([a-z0-9])([A-Z])/g, '$1_$2')
    .toLowerCase()
    .replace(/[^a-z0-9]+/g, '_');

function sinkOf(
  words: string,
  verbs: readonly string[],
  kinds: ReadonlyMap<string, string>,
  actionClass: ActionClass,
): SinkKind {
  const has = (kind: string): boolean => [...kinds.values()].includes(kind);
  if (actionClass === 'read') return FETCHES.test(words) && has('url') ? 'fetch' : 'none';
  if (actionClass === 'secret' || actionClass === 'privilege' || has('secret')) return 'admin';
  if (actionClass === 'financial' || has('account')) return 'money';
  const byVerb = verbs.flatMap((verb) => VERBS[verb]?.sink ?? [])[0];
  if (byVerb !== undefined) return byVerb;
  if (actionClass === 'export') return 'external';
  return [...kinds.values()].some((kind) => REACHING.has(kind)) ? 'external' : 'internal';
}

/** Arguments that say who, where to, what key or which one, by name. */
function kindsOf(schema: unknown): ReadonlyMap<string, string> {
  const properties = isJsonObject(schema) && isJsonObject(schema.properties) ? schema.properties : {};
  const kinds = new Map<string, string>();
  for (const name of Object.keys(properties)) {
    const words = wordsOf(name);
    const [kind] = ARGUMENT_KINDS.find(([, pattern]) => pattern.test(words)) ?? [];
    const id = /^(?:(.+)_)?id_?$/.exec(words);
    if (kind !== undefined) kinds.set(name, kind);
    else if (id !== null) kinds.set(name, id[1] ?? 'id');
    else if (/(^|_)(file|path|filename|file_name)$/.test(words)) kinds.set(name, 'file');
  }
  return kinds;
}

/** Which one is critical where it is destroyed or given away; of money it is whom it goes to. */
function isCritical(kind: string, sink: SinkKind): boolean {
  if (sink === 'money') return kind === 'account' || kind === 'address' || kind === 'place';
  if (sink === 'fetch') return kind === 'url';
  // Whom something goes to; which one it is counts where it cannot be brought back.
  return sink !== 'external' || ARGUMENT_KINDS.some(([known]) => known === kind);
}

/** Members of an output schema that look like an id or an address. */
function fieldsOf(schema: unknown, depth = 0): Record<string, string> {
  if (!isJsonObject(schema) || depth > 8) return {};
  const kinds = Object.fromEntries(kindsOf(schema));
  const below = [schema.items, ...(isJsonObject(schema.properties) ? Object.values(schema.properties) : [])];
  return Object.assign({}, ...below.map((one) => fieldsOf(one, depth + 1)), kinds) as Record<string, string>;
}
