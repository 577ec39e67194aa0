import type { FlowProfile } from './flow.ts';
import { type ConnectorId, type ToolRef, toolRef } from './ids.ts';

/**
 * What a call can do to the world, in rising order of strictness. `discover` is not an action class: listing and
 * calling are separate decisions (guarantee D2).
 */
export const ACTION_CLASSES = [
  'read',
  'write',
  'ticket',
  'code',
  'financial',
  'export',
  'privilege',
  'secret',
] as const;
export type ActionClass = (typeof ACTION_CLASSES)[number];

/**
 * Type of an argument that policies may read. `path` is an absolute, already normalised POSIX path: anything with `..`,
 * `//` or NUL is refused before a policy sees it. A trailing `?` on the type marks an optional argument.
 */
export type ArgumentType = 'string' | 'long' | 'boolean' | 'path' | 'string[]';

export interface CriticalArgument {
  readonly name: string;
  readonly type: ArgumentType;
  readonly required: boolean;
}

/** The owner's description of an item. Without one it is *undescribed* and never callable. */
export interface ToolProfile {
  readonly actionClass: ActionClass;
  readonly dataClasses: readonly string[];
  readonly criticalArguments: readonly CriticalArgument[];
  readonly reversible: boolean;
  /** Who approved this description. */
  readonly approvedBy: string;
  /** Fingerprint of the definition that was approved; a definition that differs is quarantined. */
  readonly fingerprint: string | undefined;
  /** What it is in the flow of data; undefined where the owner has said nothing, and then no rule of flow looks at it. */
  readonly flow?: FlowProfile | undefined;
  /** What is taken out of its results; undefined: nothing is looked at. */
  readonly result?: ResultRules | undefined;
}

/** What an owner lets come back of an item. Paths are names, from the outside in. */
export interface ResultRules {
  readonly drop: readonly (readonly string[])[];
  readonly mask: readonly (readonly string[])[];
  /** Whether secrets in well-known formats are masked. */
  readonly masksSecrets: boolean;
  readonly maxBytes: number | undefined;
  /** What becomes of a larger one. */
  readonly over: 'truncate' | 'refuse';
}

/** What the gateway governs of a connector: tools by name, prompts by name, resources by URI pattern. */
export type ItemKind = 'tool' | 'resource' | 'prompt';

/** What the server says of an item: untrusted. Kept whole, as JSON, and pinned by its fingerprint. */
export interface ToolDefinition {
  readonly connector: ConnectorId;
  /** As in `GovernedTool`. */
  readonly name: string;
  readonly description: string;
  /**
   * The whole definition as the server sent it (MCP `Tool`, `Prompt`); of a resource `{ uriTemplate }` with the owner's pattern, as patterns
   * are the owner's words and not the server's.
   */
  readonly raw: Readonly<Record<string, unknown>>;
  /** `sha256:` + hex over the canonical JSON (keys sorted) of `raw`. */
  readonly fingerprint: string;
}

/** A tool, a resource or a prompt as the gateway governs it: definition joined with profile, under the name that clients see. */
export interface GovernedTool {
  readonly kind: ItemKind;
  readonly ref: ToolRef;
  readonly connector: ConnectorId;
  /** The server's own name; of a resource the described URI pattern. */
  readonly name: string;
  /** Of a tool or prompt `[a-z0-9_]{1,64}`, prefixed by the connector's registry id; of a resource its name. */
  readonly exposedName: string;
  readonly definition: ToolDefinition;
  readonly profile: ToolProfile | undefined;
  /** `described`, or why it cannot be called; `suspended`: its connector is, whatever else there is to say of it. */
  readonly status: 'described' | 'undescribed' | 'quarantined' | 'suspended';
}

/** `connector/tool`, `connector/prompt:name` or `connector/resource:pattern`. */
export function itemRef(connector: ConnectorId, kind: ItemKind, name: string): ToolRef {
  return toolRef(connector, itemName(kind, name));
}

/** What stands behind the connector in a ref; the inventory's name of an item. */
export function itemName(kind: ItemKind, name: string): string {
  return kind === 'tool' ? name : `${kind}:${name}`;
}

/** A tool of such a name would be taken for a prompt or a resource: it has no ref of its own, and so cannot be governed. */
export const isMisleadingName = (name: string): boolean => name.startsWith('prompt:') || name.startsWith('resource:');

const SECRET_WORDS =
  /(^|_)(pass(word|wd|phrase|code)?|pwd|pin|secrets?|tokens?|credentials?|(api|private|access|secret|signing)_?keys?|auth|authorization|bearer|cookies?|session(_?id)?)(_|$)/;

/** Whether the name of an argument says that it carries a credential (attack A15). */
export function looksSecret(name: string): boolean {
  const words = name.replace(/([a-z0-9])([A-Z])/g, '$1_$2').replace(/[^A-Za-z0-9]+/g, '_');
  return SECRET_WORDS.test(words.toLowerCase());
}
