import { readFile, truncate } from 'node:fs/promises';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { closedSegments } from '../../src/adapters/journal/closed-segments.ts';
import { suitePayload } from './append-payload.ts';
import { makeFolder, openTestJournal, removeFolder } from './journal-fixture.ts';

let folder: string;
beforeEach(async () => {
  folder = await makeFolder();
});
afterEach(() => removeFolder(folder));

it.each([
  ['small records', (position: number) => suitePayload(position)],
  ['a record that ends in blocks of zeros', () => Buffer.concat([suitePayload(0), Buffer.alloc(12_000)])],
])('A4 a closed segment of %s is given the same before it is cut to its length and after', async (_, payload) => {
  const journal = await openTestJournal(folder);
  for (let position = 0; position < 3; position += 1) await journal.append(payload(position));
  journal.endSegment();
  await journal.append(suitePayload(3));
  await journal.close();
  const path = join(folder, '00000000.log');
  const cut = await readFile(path);
  const given = async () => (await closedSegments(folder, 0))[0]?.files[0]?.read();
  expect((await given())?.equals(cut)).toBe(true);
  // As it is in the moment in between, and stays where a crash comes then.
  await truncate(path, 1024 * 1024);
  expect((await given())?.equals(cut)).toBe(true);
});
