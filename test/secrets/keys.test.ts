import { randomBytes } from 'node:crypto';
import { chmod, mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, describe, expect, it } from 'vitest';
import { createEnvironmentKeyProvider } from '../../src/adapters/keys/environment-key-provider.ts';
import { createFileKeyProvider, createKeyFile } from '../../src/adapters/keys/file-key-provider.ts';
import { keyProviderSuite } from '../suites/key-provider-suite.ts';

const folders: string[] = [];
async function folder(): Promise<string> {
  const path = await mkdtemp(join(tmpdir(), 'remit-keys-'));
  folders.push(path);
  return path;
}
afterEach(async () => {
  for (const path of folders.splice(0)) await rm(path, { recursive: true });
});

async function fileWith(text: string): Promise<string> {
  const path = join(await folder(), 'vault.key');
  await writeFile(path, text, { mode: 0o600 });
  return path;
}

keyProviderSuite('file', {
  withKey: async (key) => createFileKeyProvider({ path: await fileWith(`${key.toString('base64url')}\n`) }),
  withoutKey: async () => createFileKeyProvider({ path: join(await folder(), 'vault.key') }),
  withText: async (text) => createFileKeyProvider({ path: await fileWith(text) }),
});

keyProviderSuite('environment', {
  withKey: async (key) =>
    createEnvironmentKeyProvider({ variable: 'VAULT_KEY', lookup: () => key.toString('base64url') }),
  withoutKey: async () => createEnvironmentKeyProvider({ variable: 'VAULT_KEY', lookup: () => undefined }),
  withText: async (text) => createEnvironmentKeyProvider({ variable: 'VAULT_KEY', lookup: () => text }),
});

describe('key file', () => {
  it('is made with a random key, for its owner alone, and opens', async () => {
    const path = join(await folder(), 'vault.key');
    await createKeyFile(path, randomBytes);
    expect((await stat(path)).mode & 0o777).toBe(0o600);
    expect(await createFileKeyProvider({ path }).key()).toHaveLength(32);
  });

  it('is never overwritten', async () => {
    const path = await fileWith('precious');
    await expect(createKeyFile(path, randomBytes)).rejects.toMatchObject({ code: 'ERR_USAGE', where: path });
    expect(await readFile(path, 'utf8')).toBe('precious');
  });

  it.each([0o640, 0o604, 0o660, 0o610])('is refused with mode %o, saying how to mend it', async (mode) => {
    const path = await fileWith(randomBytes(32).toString('base64url'));
    await chmod(path, mode);
    await expect(createFileKeyProvider({ path }).key()).rejects.toMatchObject({
      code: 'ERR_VAULT_KEY_WRONG',
      message: expect.stringContaining(`mode 0${mode.toString(8)}`),
      hint: expect.stringContaining('chmod 600'),
    });
  });

  it('is refused where the path is a folder', async () => {
    await expect(createFileKeyProvider({ path: await folder() }).key()).rejects.toMatchObject({
      code: 'ERR_VAULT_KEY_WRONG',
    });
  });

  it('is read again after a failure: mending the file needs no restart', async () => {
    const path = join(await folder(), 'vault.key');
    const provider = createFileKeyProvider({ path });
    await expect(provider.key()).rejects.toMatchObject({ code: 'ERR_VAULT_KEY_MISSING' });
    await createKeyFile(path, randomBytes);
    expect(await provider.key()).toHaveLength(32);
  });
});
