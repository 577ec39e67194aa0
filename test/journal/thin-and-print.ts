import { suitePayload } from './append-payload.ts';
import { openTestJournal } from './journal-fixture.ts';

/** Appends to the journal in the folder that is named, signs each batch and thins without end; a line for each size that is signed: to be killed. */
const journal = await openTestJournal(process.argv[2] as string, {
  segmentBytes: 16 * 1024,
  thinFrom: 0,
  onCheckpoint: (_, size) => void process.stdout.write(`${size}\n`),
});
const thin = async (): Promise<never> => {
  for (;;) {
    await journal.thinCheckpoints(Number.MAX_SAFE_INTEGER);
    await new Promise(setImmediate);
  }
};
void thin();
for (;;) {
  await journal.append(suitePayload(journal.size));
  await journal.checkpoint();
}
