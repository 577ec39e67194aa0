import { lchown, readdir, stat } from 'node:fs/promises';
import { join } from 'node:path';

/**
 * Root may write what another user owns: a command that is run as root while the gateway is stopped. What it has made there becomes the owner's of the data folder, or the
 * gateway could not go on with it. Nothing for anybody else.
 */
export async function keepOwner(data: string, folder: string): Promise<void> {
  if (process.getuid?.() !== 0) return;
  const { uid, gid } = await stat(data);
  if (uid === 0) return;
  const names = await readdir(folder);
  for (const path of [folder, ...names.map((name) => join(folder, name))]) await lchown(path, uid, gid);
}
