import { mkdir, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { lockFolder } from '../../src/adapters/journal/exclusive-lock.ts';
import { LOCK_FILE } from '../../src/adapters/journal/frame.ts';

it('a lock that cannot be opened is told as one, with where and what to do', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'remit-lock-'));
  try {
    await mkdir(join(folder, LOCK_FILE));
    expect(() => lockFolder(folder)).toThrow(
      expect.objectContaining({ code: 'ERR_JOURNAL_FAILED', where: join(folder, LOCK_FILE) }),
    );
  } finally {
    await rm(folder, { recursive: true });
  }
});
