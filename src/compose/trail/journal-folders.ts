import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { VERIFIER_FILE } from '../../adapters/journal/frame.ts';

/** What `remit audit accept-damage` has put aside: evidence, to be named where it is meant. */
const PUT_ASIDE = /^journal-damaged-/;

/** How far below a folder journals are looked for: bucket, prefix, node, journal. */
const MOST_BELOW = 4;

/** Folders that hold a journal each: those given, and in place of one that holds none those below it. One in which there is none stays as it is. */
export async function journalFolders(given: readonly string[]): Promise<string[]> {
  const found: string[] = [];
  for (const folder of given) {
    const below = await journalsIn(folder, MOST_BELOW);
    found.push(...(below.length === 0 ? [folder] : below));
  }
  return [...new Set(found)];
}

async function journalsIn(folder: string, depth: number): Promise<string[]> {
  const entries = await readdir(folder, { withFileTypes: true }).catch(() => []);
  if (entries.some(({ name }) => name === VERIFIER_FILE)) return [folder];
  if (depth === 0) return [];
  const names = entries.filter((entry) => entry.isDirectory() && !PUT_ASIDE.test(entry.name)).map(({ name }) => name);
  const found = await Promise.all(names.sort().map((name) => journalsIn(join(folder, name), depth - 1)));
  return found.flat();
}
