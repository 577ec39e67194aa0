import { link, open, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { RemitError } from '../../domain/errors.ts';
import type { RandomBytes } from '../../domain/ids.ts';

const NAME = /^n[0-9a-f]{16}$/;
const FILE = 'node';

/**
 * The name of a data folder among those of one store; made with it.
 * @throws `ERR_CONFIG_INVALID` for a file that says none
 */
export async function nodeName(data: string, random: RandomBytes): Promise<string> {
  const file = join(data, FILE);
  const found = await readFile(file, 'utf8').catch((error: NodeJS.ErrnoException) => {
    if (error.code !== 'ENOENT') throw error;
    return undefined;
  });
  // An empty one is what a full disk, or a loss of power, has left of one that was being made.
  if (found === undefined || found === '') await makeName(data, file, random, found === '');
  const name = (found || (await readFile(file, 'utf8'))).trim();
  if (NAME.test(name)) return name;
  throw new RemitError('ERR_CONFIG_INVALID', 'the file with this node’s name says none', {
    where: file,
    hint: 'Remove it, and a new name is made; what the node left open under the old one, the others see to.',
  });
}

/** Whole or not at all: a journal is under its node's name. Of two that start at once in one folder, both read what one has made. */
async function makeName(data: string, file: string, random: RandomBytes, isThere: boolean): Promise<void> {
  const hex = (bytes: number): string => Buffer.from(random(bytes)).toString('hex');
  const draft = `${file}.${hex(6)}.new`;
  try {
    await writeFile(draft, `n${hex(8)}\n`, { flag: 'wx', mode: 0o600, flush: true });
    if (isThere) await rename(draft, file);
    // A link, unlike a rename, refuses where the name is taken.
    else
      await link(draft, file).catch((error: NodeJS.ErrnoException) => {
        if (error.code !== 'EEXIST') throw error;
      });
  } finally {
    await rm(draft, { force: true });
  }
  const folder = await open(data, 'r');
  await folder.sync().finally(() => folder.close());
}

/** Names that data folders have; of one that has none, nothing. */
export async function namesOf(folders: readonly string[]): Promise<string[]> {
  const texts = await Promise.all(folders.map((folder) => readFile(join(folder, FILE), 'utf8').catch(() => '')));
  return texts.map((text) => text.trim()).filter((name) => NAME.test(name));
}
