import { readFile, writeFile } from 'node:fs/promises';
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
  const made = `n${Buffer.from(random(8)).toString('hex')}`;
  // Of two that start at once in one folder, both read what one has written.
  await writeFile(file, `${made}\n`, { flag: 'wx', mode: 0o600 }).catch((error: NodeJS.ErrnoException) => {
    if (error.code !== 'EEXIST') throw error;
  });
  const name = (await readFile(file, 'utf8')).trim();
  if (NAME.test(name)) return name;
  throw new RemitError('ERR_CONFIG_INVALID', 'the file with this node’s name says none', {
    where: file,
    hint: 'Remove it, and a new name is made; what the node left open under the old one, the others see to.',
  });
}

/** Names that data folders have; of one that has none, nothing. */
export async function namesOf(folders: readonly string[]): Promise<string[]> {
  const texts = await Promise.all(folders.map((folder) => readFile(join(folder, FILE), 'utf8').catch(() => '')));
  return texts.map((text) => text.trim()).filter((name) => NAME.test(name));
}
