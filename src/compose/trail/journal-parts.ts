import { findStoryStart } from '../../audit/read-backwards.ts';
import { readRecords } from '../../audit/read-records.ts';
import { isAbout, type StorySubject } from '../../audit/tell-story.ts';
import type { Config } from '../../config/schema.ts';
import { createJournalAccess, type JournalAccess } from './journal-access.ts';

/** A journal that has records about a subject. */
export interface JournalPart {
  readonly folder: string;
  readonly access: JournalAccess;
  /** From where on it has to be read. */
  readonly from: number;
  /** Time of its first record about the subject, RFC 3339. */
  readonly since: string;
}

/** Which of several nodes' journals have records about a subject, in the order in which it came to them. @throws what reading throws */
export async function findParts(folders: readonly string[], subject: StorySubject): Promise<JournalPart[]> {
  const parts: JournalPart[] = [];
  for (const folder of new Set(folders)) {
    const access = createJournalAccess(folder);
    const from = await findStoryStart(access, subject);
    if (from === undefined) continue;
    for await (const record of readRecords(access.read(from))) {
      if (!isAbout(record, subject)) continue;
      parts.push({ folder, access, from, since: record.time });
      break;
    }
  }
  return parts.sort((a, b) => (a.since < b.since ? -1 : 1));
}

/** What else to try where nothing is found: of several nodes each has a journal of its own. */
export const orElsewhere = ({ store }: Config, hint: string): string =>
  store.kind === 'postgres'
    ? `${hint} What other gateways on this store did stands in their journals: give their folders with --journal.`
    : hint;
