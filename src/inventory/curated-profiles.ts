import type { ActionClass } from '../domain/tool.ts';

/**
 * Tools of well-known servers whose name alone misleads. Matched by name together with argument names, because a name
 * alone proves nothing about which server this is. A proposal still has to be approved.
 */
export interface CuratedProfile {
  readonly tool: string;
  readonly arguments: readonly string[];
  readonly class: ActionClass;
  readonly reversible: boolean;
}

export const CURATED_PROFILES: readonly CuratedProfile[] = [
  // postgres 0.6: described as read-only, but `COMMIT; …` leaves its read-only transaction. What bounds it is the leased
  // role, so `read` here means: the lease gets SELECT only.
  { tool: 'query', arguments: ['sql'], class: 'read', reversible: false },
  // filesystem
  { tool: 'read_text_file', arguments: ['path'], class: 'read', reversible: false },
  { tool: 'read_media_file', arguments: ['path'], class: 'read', reversible: false },
  { tool: 'read_multiple_files', arguments: ['paths'], class: 'read', reversible: false },
  { tool: 'directory_tree', arguments: ['path'], class: 'read', reversible: false },
  { tool: 'list_directory', arguments: ['path'], class: 'read', reversible: false },
  { tool: 'create_directory', arguments: ['path'], class: 'write', reversible: true },
  { tool: 'write_file', arguments: ['path', 'content'], class: 'write', reversible: false },
  { tool: 'edit_file', arguments: ['path', 'edits'], class: 'write', reversible: false },
  { tool: 'move_file', arguments: ['source', 'destination'], class: 'write', reversible: true },
  // git: annotated harmless by some servers, yet they discard work or leave the machine
  { tool: 'git_reset', arguments: [], class: 'code', reversible: false },
  { tool: 'git_push', arguments: [], class: 'export', reversible: false },
  { tool: 'git_clean', arguments: [], class: 'code', reversible: false },
  // memory
  { tool: 'read_graph', arguments: [], class: 'read', reversible: false },
  { tool: 'open_nodes', arguments: ['names'], class: 'read', reversible: false },
  { tool: 'create_entities', arguments: ['entities'], class: 'write', reversible: true },
  // a shell is every class at once
  { tool: 'run_command', arguments: [], class: 'privilege', reversible: false },
  { tool: 'run_process', arguments: [], class: 'privilege', reversible: false },
];
