import { randomBytes } from 'node:crypto';
import { createKeyFile } from '../adapters/keys/file-key-provider.ts';

/** Writes a new vault key (32 random bytes, mode 0600). Never overwrites: what the old one sealed would be lost. */
export function createVaultKey(path: string): Promise<void> {
  return createKeyFile(path, randomBytes);
}
