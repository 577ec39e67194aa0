import { readdir } from 'node:fs/promises';
import { join } from 'node:path';

const NAME = /^worker-([1-9]\d?)$/;

/** Folders of the workers that a data folder has, or has had, in their order. Empty for one that cannot be read. */
export async function workerFolders(data: string): Promise<string[]> {
  const numbers = (await readdir(data).catch(() => [])).flatMap((name) => {
    const number = NAME.exec(name)?.[1];
    return number === undefined ? [] : [Number(number)];
  });
  return numbers.sort((one, other) => one - other).map((number) => join(data, `worker-${number}`));
}
