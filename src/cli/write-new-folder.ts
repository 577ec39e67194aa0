import { mkdir, readdir, writeFile } from 'node:fs/promises';
import { dirname, isAbsolute, join, normalize } from 'node:path';
import { RemitError } from '../domain/errors.ts';

/**
 * Writes files into a folder that is new or empty: nothing that is in force is ever written over.
 * @throws `ERR_USAGE` for a folder that holds something, or a name that leads out of it
 */
export async function writeNewFolder(
  folder: string,
  files: readonly { readonly name: string; readonly text: string }[],
): Promise<void> {
  const there = await readdir(folder).catch(() => []);
  if (there.length > 0) {
    throw new RemitError('ERR_USAGE', `${folder} is not empty`, { where: folder, hint: 'Name a folder that is new.' });
  }
  const outside = files.find(({ name }) => isAbsolute(name) || normalize(name).split(/[\\/]/)[0] === '..');
  if (outside !== undefined) {
    throw new RemitError('ERR_USAGE', `${outside.name} is no name of a file in a folder`, {
      where: outside.name,
      hint: 'Nothing was written. Whoever put it there named it so on purpose: find out who.',
    });
  }
  for (const { name, text } of files) {
    const path = join(folder, name);
    await mkdir(dirname(path), { recursive: true });
    await writeFile(path, text, { flag: 'wx' });
  }
}
