import { mkdirSync } from 'node:fs';
import { homedir } from 'node:os';
import { join } from 'node:path';

/** A folder for what the benchmark fetches to compare with; never a dependency of Remit. */
export function cacheFolder(name: string): string {
  const folder = join(process.env.XDG_CACHE_HOME ?? join(homedir(), '.cache'), 'remit-bench', name);
  mkdirSync(folder, { recursive: true });
  return folder;
}
