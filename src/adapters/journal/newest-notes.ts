import { open } from 'node:fs/promises';
import { readFault } from './frame-reader.ts';

const FIRST_LENGTH = 1024 * 1024;

/**
 * The end of the `checkpoints` file, from a note on whose size is `size` at most, so that a start reads no more of it than belongs to the segment
 * that it reads; all of it where there is no such note. Undefined without the file.
 * @param name of the key that signed the notes
 * @returns latin1, and where in the file it begins
 * @throws `ERR_JOURNAL_FAILED`
 */
export async function readNewestNotes(
  path: string,
  name: string,
  size: number,
  firstLength = FIRST_LENGTH,
): Promise<{ text: string; offset: number } | undefined> {
  const file = await open(path, 'r').catch((cause: NodeJS.ErrnoException) => {
    if (cause.code === 'ENOENT') return undefined;
    throw readFault(path, cause);
  });
  if (file === undefined) return undefined;
  try {
    const { size: end } = await file.stat();
    for (let length = firstLength; ; length *= 4) {
      const from = Math.max(0, end - length);
      const bytes = Buffer.alloc(end - from);
      let done = 0;
      while (done < bytes.length) {
        const { bytesRead } = await file.read(bytes, done, bytes.length - done, from + done);
        if (bytesRead === 0) break;
        done += bytesRead;
      }
      const text = bytes.toString('latin1', 0, done);
      if (from === 0) return { text, offset: 0 };
      // A note begins with its origin on a line of its own; a signature line has more on it.
      const start = text.indexOf(`\n${name}\n`) + 1;
      const [, first] = /^[^\n]*\n([0-9]{1,16})\n/.exec(text.slice(start, start + 1024)) ?? [];
      if (start > 0 && first !== undefined && Number(first) <= size) {
        return { text: text.slice(start), offset: from + start };
      }
    }
  } catch (cause) {
    throw readFault(path, cause);
  } finally {
    await file.close();
  }
}
