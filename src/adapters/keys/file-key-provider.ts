import { constants } from 'node:fs';
import { type FileHandle, link, open, rm } from 'node:fs/promises';
import { dirname } from 'node:path';
import { RemitError } from '../../domain/errors.ts';
import type { RandomBytes } from '../../domain/ids.ts';
import type { KeyProvider } from '../../seams/key-provider.ts';
import { KEY_BYTES, keyError, parseKeyText } from './key-text.ts';
import { createLocalKeyProvider } from './local-key-provider.ts';

/** Longer than any key text: what is bigger is not a key file, and is not read whole. */
const MOST_BYTES = 256;

/**
 * Key in a file: 43 base64url characters, readable by its owner alone.
 * @param options.name part of the key id after `file:`; another name for another key
 */
export function createFileKeyProvider(options: { path: string; name?: string }): KeyProvider {
  return createLocalKeyProvider(`file:${options.name ?? 'kek-1'}`, () => readKeyFile(options.path));
}

/**
 * Writes a new random key, durably, readable by its owner alone. Never overwrites, and never leaves half a key under that name.
 * @throws `ERR_USAGE` where the file exists
 */
export async function createKeyFile(path: string, random: RandomBytes): Promise<void> {
  const draft = `${path}.${Buffer.from(random(6)).toString('hex')}.new`;
  try {
    const file = await open(draft, constants.O_CREAT | constants.O_EXCL | constants.O_WRONLY, 0o600);
    try {
      await file.writeFile(`${Buffer.from(random(KEY_BYTES)).toString('base64url')}\n`);
      await file.sync();
    } finally {
      await file.close();
    }
    // A link, unlike a rename, refuses where the name is taken.
    await link(draft, path);
  } catch (error) {
    if (codeOf(error) !== 'EEXIST') {
      throw keyError('ERR_VAULT_KEY_MISSING', `the vault key cannot be written: ${codeOf(error)}`, path, {
        hint: 'Check that the folder exists and that this user may write in it.',
        cause: error,
      });
    }
    throw new RemitError('ERR_USAGE', 'a vault key exists there already', {
      where: path,
      hint: 'Keep it: what was sealed under it opens with no other key.',
    });
  } finally {
    await rm(draft, { force: true });
  }
  await syncFolder(dirname(path));
}

/** The file's name must survive a crash as well as its content: a vault without its key is lost. */
async function syncFolder(path: string): Promise<void> {
  const folder = await open(path, constants.O_RDONLY);
  try {
    await folder.sync();
  } finally {
    await folder.close();
  }
}

async function readKeyFile(path: string): Promise<Buffer> {
  // O_NONBLOCK: a pipe in the file's place must not hang the start.
  const file = await open(path, constants.O_RDONLY | constants.O_NONBLOCK).catch((error) => {
    if (codeOf(error) === 'ENOENT') throw keyError('ERR_VAULT_KEY_MISSING', 'there is no vault key file', path);
    throw keyError('ERR_VAULT_KEY_WRONG', `the vault key file cannot be read: ${codeOf(error)}`, path, {
      hint: 'Run the gateway as the user that owns the file.',
      cause: error,
    });
  });
  try {
    await assertPrivate(file, path);
    const buffer = Buffer.alloc(MOST_BYTES);
    const { bytesRead } = await file.read(buffer, 0, MOST_BYTES, 0);
    const key = parseKeyText(buffer.toString('latin1', 0, bytesRead), path);
    buffer.fill(0);
    return key;
  } finally {
    await file.close();
  }
}

/** Asked of the open file, not of its path: nobody can swap it in between. */
async function assertPrivate(file: FileHandle, path: string): Promise<void> {
  const stat = await file.stat();
  if (!stat.isFile()) throw keyError('ERR_VAULT_KEY_WRONG', 'the vault key is not a regular file', path);
  const mode = stat.mode & 0o777;
  if ((mode & 0o077) === 0 || isHandedOver({ ...ownerOf(stat), mode, path }, ownSelf())) return;
  throw keyError(
    'ERR_VAULT_KEY_WRONG',
    `the vault key file is open to other users (mode ${mode.toString(8).padStart(4, '0')})`,
    path,
    { hint: `Run \`chmod 600 ${path}\`; where others may have read it, make a new key and seal the secrets again.` },
  );
}

const ownerOf = ({ uid, gid }: { uid: number; gid: number }) => ({ uid, gid });

const ownSelf = () => ({
  uid: process.getuid?.(),
  groups: [process.getgid?.(), ...(process.getgroups?.() ?? [])],
  credentials: process.env.CREDENTIALS_DIRECTORY,
});

/**
 * Whether root hands the file to this process alone, as service managers do: it is root's, nobody may write it, and only a group may read it. Of systemd's credentials
 * (systemd.exec(5), `$CREDENTIALS_DIRECTORY`) the group's bit stands for an access list of this user; a mounted secret is for the container's own group.
 */
export function isHandedOver(
  file: { readonly uid: number; readonly gid: number; readonly mode: number; readonly path: string },
  self: {
    readonly uid: number | undefined;
    readonly groups: readonly (number | undefined)[];
    readonly credentials: string | undefined;
  },
): boolean {
  if (file.uid !== 0 || self.uid === 0 || (file.mode & 0o037) !== 0) return false;
  const isCredential =
    self.credentials !== undefined && self.credentials !== '' && dirname(file.path) === self.credentials;
  return isCredential || (file.gid !== 0 && self.groups.includes(file.gid));
}

function codeOf(error: unknown): string {
  return error instanceof Error && 'code' in error ? String(error.code) : 'unknown error';
}
