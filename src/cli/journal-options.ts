import type { Command } from 'commander';

/** Journals of other nodes, the same for every command that reads them together. */
export interface JournalOptions {
  readonly journal: readonly string[];
}

export const journalOptions = (c: Command): Command =>
  c.option(
    '--journal <path>',
    'beside the configured one, the journal of another node, a copy of it, or a folder of several; may be given again',
    collect,
    [],
  );

/** For options that may be given again. */
export const collect = (value: string, before: readonly string[]): readonly string[] => [...before, value];
