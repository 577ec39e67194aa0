import { cp, mkdir, rename, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Home } from '../crash/estate.ts';
import { run } from '../harness/install.ts';

export interface FullDisk {
  /** A small file system of its own, for people. */
  readonly how: string;
  /** Puts the journal back on the disk, as it is. */
  undo(): Promise<void>;
}

/** What is left besides the journal: less than the room that its log takes next. */
const LEFT_BYTES = 1024 * 1024 + 64 * 1024;

/** Puts the journal on a tmpfs that is almost full. @throws where nothing can be mounted */
export async function fillUp(home: Home): Promise<FullDisk> {
  const journal = join(home.data, 'journal');
  const kept = `${journal}-on-disk`;
  await rename(journal, kept);
  await mkdir(journal, { mode: 0o700 });
  const { stdout } = await run('du', ['-sb', kept], { timeoutMs: 10_000 });
  const size = Math.ceil((Number(stdout.split('\t')[0]) + LEFT_BYTES) / 4096) * 4096;
  try {
    await run('mount', ['-t', 'tmpfs', '-o', `size=${size},mode=0700`, 'tmpfs', journal], { timeoutMs: 10_000 });
  } catch (cause) {
    await rm(journal, { recursive: true });
    await rename(kept, journal);
    throw new Error('a full disk needs a small tmpfs, and nothing can be mounted here: run as root', { cause });
  }
  await cp(kept, journal, { recursive: true });
  // What the log does not need at once is taken by somebody else.
  await writeFile(join(journal, 'ballast'), Buffer.alloc(32 * 1024));
  return {
    how: `tmpfs of ${size} bytes`,
    async undo() {
      await rm(kept, { recursive: true });
      await cp(journal, kept, { recursive: true });
      await run('umount', [journal], { timeoutMs: 10_000 });
      await rm(journal, { recursive: true });
      await rename(kept, journal);
      await rm(join(journal, 'ballast'), { force: true });
    },
  };
}
