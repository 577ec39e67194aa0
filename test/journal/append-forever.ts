import { writeSync } from 'node:fs';
import { suitePayload } from './append-payload.ts';
import { openTestJournal } from './journal-fixture.ts';

/** Appends without end until it is killed or the disk refuses; `[folder]`. */
const folder = process.argv[2] ?? '';
try {
  const journal = await openTestJournal(folder, { checkpointEvery: 16 });
  const appendForever = async (): Promise<void> => {
    for (;;) writeSync(1, `${await journal.append(suitePayload(journal.size))}\n`);
  };
  await Promise.all(Array.from({ length: 16 }, appendForever));
} catch (error) {
  writeSync(2, `${(error as { code?: string }).code}: ${(error as Error).message}\n`);
  process.exit(1);
}
