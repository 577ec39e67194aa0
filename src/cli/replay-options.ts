import type { Command } from 'commander';
import { createArgumentOpener, type OpenArguments, sealedArguments } from '../compose/explain/open-arguments.ts';
import { type RecordedSpan, recordedSpan } from '../compose/explain/recorded-span.ts';
import { readAuditorKey } from '../compose/trail/auditor-files.ts';
import { createJournalAccess } from '../compose/trail/journal-access.ts';
import { recordContentRead } from '../compose/trail/record-administration.ts';
import type { Workspace } from '../compose/workspace.ts';
import { callAdmin } from './admin-client.ts';
import type { Common } from './command.ts';
import { readTime } from './record-options.ts';

/** Options of commands that make recorded decisions again. */
export interface ReplayOptions extends Common {
  readonly since: string;
  readonly until?: string;
  readonly sealed: boolean;
  readonly reason?: string;
  readonly auditorKey?: string;
}

export const replayOptions = (c: Command, since: string): Command =>
  c
    .option('--since <time>', 'from this time on: RFC 3339, a date, or an age such as 12h or 7d', since)
    .option('--until <time>', 'before this time')
    .option('--sealed', 'leave arguments sealed: calls that need them are not replayed', false)
    .option('--reason <text>', 'why arguments are opened, for the trail')
    .option('--auditor-key <file>', 'private key of an auditor, where the configuration names auditors');

/** The span that is asked for. Its end is a time, so that two readings of a trail that grows are the same. */
export function readSpan({ places, estate, system }: Workspace, options: ReplayOptions): RecordedSpan {
  const now = system.clock();
  const since = readTime('--since', options.since, now);
  const until = options.until === undefined ? now : readTime('--until', options.until, now);
  return recordedSpan(createJournalAccess(places.journal), estate, since, until);
}

/**
 * Lets a replay see arguments, where it needs any, and puts that on the trail before: policies are questions about values.
 * @param needed how many calls cannot be decided on without
 */
export async function openForReplay(
  workspace: Workspace,
  options: ReplayOptions,
  about: string,
  needed: number,
): Promise<OpenArguments> {
  if (options.sealed || needed === 0) return sealedArguments;
  const key = options.auditorKey === undefined ? undefined : await readAuditorKey(options.auditorKey);
  if (key === undefined && Object.keys(workspace.config.auditors ?? {}).length > 0) return sealedArguments;
  await recordContentRead(
    workspace,
    {
      about,
      reason: options.reason ?? `${about}: recorded calls are decided anew; no argument is shown`,
      records: needed,
      ...(key?.kid !== undefined && { auditorKey: key.kid }),
    },
    {},
    ({ detail }) => callAdmin(workspace.places.socket, 'record-content-read', { detail: JSON.stringify(detail) }),
  );
  return createArgumentOpener(workspace, key);
}
