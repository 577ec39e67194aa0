import { readFile } from 'node:fs/promises';
import { createJournalReader } from '../../adapters/journal/journal-reader.ts';
import { type Verification, verifyJournal } from '../../adapters/journal/verify-journal.ts';
import { findRemovals, type Removal } from '../../audit/find-removals.ts';

export type VerifiedTrail =
  | (Extract<Verification, { ok: true }> & {
      /** Who let go of what: the announcements that are still on the trail. */
      readonly removals: readonly Removal[];
    })
  | Extract<Verification, { ok: false }>;

/**
 * Verifies a journal's files, and that records which are gone were removed on record.
 * @throws what `verifyJournal` throws
 */
export async function verifyTrail(
  folder: string,
  { key, anchorFile }: { key: string | undefined; anchorFile: string | undefined },
): Promise<VerifiedTrail> {
  const verified = await verifyJournal(folder, {
    ...(key !== undefined && { verifierKey: key }),
    ...(anchorFile !== undefined && { anchor: await readFile(anchorFile, 'utf8') }),
  });
  if (!verified.ok) return verified;
  if (verified.firstRecord === 0) return { ...verified, removals: [] };
  const removals = await findRemovals(createJournalReader(folder).read(0));
  const announced = Math.max(0, ...removals.map(({ end }) => end));
  if (verified.firstRecord <= announced) return { ...verified, removals };
  const what = `records ${announced} to ${verified.firstRecord - 1} are gone, and no record says that they were removed`;
  return { ok: false, problem: { kind: 'missing', where: { file: folder, offset: 0, record: announced }, what } };
}
