import type { ConnectorId, ToolRef } from './ids.ts';

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

/** The owner's description of a tool. Without one the tool is *undescribed* and never callable. */
export interface ToolProfile {
  readonly actionClass: ActionClass;
  readonly dataClasses: readonly string[];
  readonly criticalArguments: readonly CriticalArgument[];
  readonly reversible: boolean;
  /** Who approved this description. */
  readonly approvedBy: string;
  /** Fingerprint of the definition that was approved; a definition that differs is quarantined. */
  readonly fingerprint: string | undefined;
}

/** What the server says of a tool: untrusted. Kept whole, as JSON, and pinned by its fingerprint. */
export interface ToolDefinition {
  readonly connector: ConnectorId;
  readonly name: string;
  readonly description: string;
  /** The whole definition as the server sent it (MCP `Tool`), to be shown to clients under the exposed name. */
  readonly raw: Readonly<Record<string, unknown>>;
  /** `sha256:` + hex over the canonical JSON (keys sorted) of `raw`. */
  readonly fingerprint: string;
}

/** A tool as the gateway governs it: definition joined with profile, under the name that clients see. */
export interface GovernedTool {
  readonly ref: ToolRef;
  readonly connector: ConnectorId;
  readonly name: string;
  /** `[a-z0-9_]{1,64}`, prefixed by the connector's registry id. */
  readonly exposedName: string;
  readonly definition: ToolDefinition;
  readonly profile: ToolProfile | undefined;
  /** `described`, or why it cannot be called. */
  readonly status: 'described' | 'undescribed' | 'quarantined';
}
