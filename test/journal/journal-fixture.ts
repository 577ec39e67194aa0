import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { ed25519Signer } from '../../src/adapters/journal/ed25519-signer.ts';
import type { FileJournal } from '../../src/adapters/journal/file-journal.ts';
import { createJournalReader } from '../../src/adapters/journal/journal-reader.ts';
import { type FileJournalOptions, openFileJournal } from '../../src/adapters/journal/open-file-journal.ts';

export const ORIGIN = 'remit.example.org/audit';
/** A key that is in every checkout: for tests only. */
export const testSigner = ed25519Signer(Buffer.alloc(32, 7));

/** Arguments for this Node: appends without end to the folder that follows. */
export const APPENDER = ['--import', 'tsx', fileURLToPath(new URL('append-forever.ts', import.meta.url))];

export function openTestJournal(folder: string, more: Partial<FileJournalOptions> = {}): Promise<FileJournal> {
  return openFileJournal({ folder, origin: ORIGIN, signer: testSigner, ...more });
}

export async function makeFolder(): Promise<string> {
  return await mkdtemp(join(tmpdir(), 'remit-journal-'));
}

export async function removeFolder(folder: string): Promise<void> {
  await rm(folder, { recursive: true, force: true });
}

export async function readAll(folder: string): Promise<Buffer[]> {
  const payloads: Buffer[] = [];
  for await (const { payload } of createJournalReader(folder).read(0)) payloads.push(Buffer.from(payload));
  return payloads;
}

/** A closed journal with these payloads. */
export async function writeJournal(
  folder: string,
  payloads: readonly Buffer[],
  more: Partial<FileJournalOptions> = {},
): Promise<void> {
  const journal = await openTestJournal(folder, more);
  for (const payload of payloads) await journal.append(payload);
  await journal.close();
}
