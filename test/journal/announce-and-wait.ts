import { suitePayload } from './append-payload.ts';
import { openTestJournal } from './journal-fixture.ts';

/** Fills the journal in the folder that is named, announces a removal, durably and signed, and never gets to it: to be killed. */
const journal = await openTestJournal(process.argv[2] as string, { segmentBytes: 16 * 1024 });
for (let round = 0; round < 20; round += 1) {
  await Promise.all(Array.from({ length: 10 }, () => journal.append(suitePayload(journal.size))));
}
await journal.removeBefore(Number.MAX_SAFE_INTEGER, async ({ end }) => {
  await journal.append(Buffer.from(`announced ${end}`));
  await journal.checkpoint();
  process.stdout.write(`${end}\n`);
  await new Promise(() => setInterval(() => {}, 60_000));
});
