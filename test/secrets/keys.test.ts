import { randomBytes } from 'node:crypto';
import { chmod, mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterEach, describe, expect, it } from 'vitest';
import { createEnvironmentKeyProvider } from '../../src/adapters/keys/environment-key-provider.ts';
import { createFileKeyProvider, createKeyFile, isHandedOver } from '../../src/adapters/keys/file-key-provider.ts';
import type { KeyProvider } from '../../src/seams/key-provider.ts';
import { keyProviderSuite, keyTextSuite } from '../suites/key-provider-suite.ts';
import { createFakeKmsKeyProvider, FakeKms } from '../support/fake-kms.ts';

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

const wrapOf = (provider: KeyProvider): Promise<Buffer> => provider.wrap(Buffer.alloc(32), Buffer.from('context'));

const texts: string[] = [];
function newText(): string {
  const key = randomBytes(32);
  texts.push(key.toString('base64url'), key.toString('latin1'));
  return key.toString('base64url');
}

keyProviderSuite('file', {
  async withKey() {
    const path = await fileWith(`${newText()}\n`);
    return { provider: createFileKeyProvider({ path }), same: async () => createFileKeyProvider({ path }) };
  },
  withoutKey: async () => createFileKeyProvider({ path: join(await folder(), 'vault.key') }),
  secrets: () => texts,
});
keyTextSuite('file', async (text) => createFileKeyProvider({ path: await fileWith(text) }));

const variable = (text: string | undefined) =>
  createEnvironmentKeyProvider({ variable: 'VAULT_KEY', lookup: () => text });
keyProviderSuite('environment', {
  async withKey() {
    const text = newText();
    return { provider: variable(text), same: async () => variable(text) };
  },
  withoutKey: async () => variable(undefined),
  secrets: () => texts,
});
keyTextSuite('environment', async (text) => variable(text));

const kms = new FakeKms();
keyProviderSuite('of a KMS, which never gives its key away (a contract fake)', {
  async withKey() {
    const id = kms.createKey();
    const open = () => createFakeKmsKeyProvider(kms, id);
    return { provider: open(), same: async () => open() };
  },
  withoutKey: async () => createFakeKmsKeyProvider(kms, 'arn:fake:kms:none'),
  secrets: () => kms.keyTexts(),
});

describe('key file', () => {
  it('is made with a random key, for its owner alone, and opens', async () => {
    const path = join(await folder(), 'vault.key');
    await createKeyFile(path, randomBytes);
    expect((await stat(path)).mode & 0o777).toBe(0o600);
    expect(await wrapOf(createFileKeyProvider({ path }))).toHaveLength(60);
    expect(await readdir(dirname(path))).toEqual(['vault.key']);
  });

  it('is never overwritten', async () => {
    const path = await fileWith('precious');
    await expect(createKeyFile(path, randomBytes)).rejects.toMatchObject({ code: 'ERR_USAGE', where: path });
    expect(await readFile(path, 'utf8')).toBe('precious');
  });

  it.each([0o640, 0o604, 0o660, 0o610])('is refused with mode %o, saying how to mend it', async (mode) => {
    const path = await fileWith(randomBytes(32).toString('base64url'));
    await chmod(path, mode);
    await expect(wrapOf(createFileKeyProvider({ path }))).rejects.toMatchObject({
      code: 'ERR_VAULT_KEY_WRONG',
      message: expect.stringContaining(`mode 0${mode.toString(8)}`),
      hint: expect.stringContaining('chmod 600'),
    });
  });

  it('is refused where the path is a folder', async () => {
    await expect(wrapOf(createFileKeyProvider({ path: await folder() }))).rejects.toMatchObject({
      code: 'ERR_VAULT_KEY_WRONG',
    });
  });

  it('is read again after a failure: mending the file needs no restart', async () => {
    const path = join(await folder(), 'vault.key');
    const provider = createFileKeyProvider({ path });
    await expect(wrapOf(provider)).rejects.toMatchObject({ code: 'ERR_VAULT_KEY_MISSING' });
    await createKeyFile(path, randomBytes);
    expect(await wrapOf(provider)).toHaveLength(60);
  });
});

describe('a key file that root hands over', () => {
  const file = { uid: 0, gid: 65_532, mode: 0o440, path: '/run/credentials/remit.service/vault.key' };
  const self = { uid: 65_532, groups: [65_532], credentials: undefined };
  const service = { uid: 61_000, groups: [61_000], credentials: '/run/credentials/remit.service' };

  it('may be read by this process’s own group, or be a credential of its unit', () => {
    expect(isHandedOver(file, self)).toBe(true);
    expect(isHandedOver({ ...file, gid: 0 }, service)).toBe(true);
  });

  it('L6 is refused where anybody else could read or change it, or have made it', () => {
    expect(isHandedOver({ ...file, mode: 0o444 }, self)).toBe(false);
    expect(isHandedOver({ ...file, mode: 0o460 }, self)).toBe(false);
    expect(isHandedOver({ ...file, uid: 1000 }, self)).toBe(false);
    expect(isHandedOver({ ...file, gid: 100 }, self)).toBe(false);
    expect(isHandedOver({ ...file, gid: 0 }, { ...self, groups: [0] })).toBe(false);
    expect(isHandedOver(file, { ...self, uid: 0 })).toBe(false);
    expect(isHandedOver({ ...file, gid: 0, path: '/etc/remit/vault.key' }, service)).toBe(false);
    expect(isHandedOver({ ...file, gid: 0 }, { ...service, credentials: '' })).toBe(false);
  });
});
