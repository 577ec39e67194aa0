import { randomBytes } from 'node:crypto';
import { access, mkdir } from 'node:fs/promises';
import { dirname } from 'node:path';
import { createKeyFile } from '../adapters/keys/file-key-provider.ts';

/**
 * Writes a vault key (32 random bytes, mode 0600) where there is none; false when there is one. Never overwrites: what the old one
 * sealed would be lost.
 */
export async function ensureVaultKey(path: string): Promise<boolean> {
  const isThere = await access(path).then(
    () => true,
    () => false,
  );
  if (isThere) return false;
  await mkdir(dirname(path), { recursive: true, mode: 0o700 });
  await createKeyFile(path, randomBytes);
  return true;
}
