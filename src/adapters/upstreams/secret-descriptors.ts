import { randomBytes } from 'node:crypto';
import { constants, type FileHandle, open, rm } from 'node:fs/promises';
import { join } from 'node:path';
import type { Secret } from '../../domain/secret.ts';
import { unreachable } from './upstream-faults.ts';

/** What a process is to find under a number. */
export interface SecretDescriptors {
  readonly handles: ReadonlyMap<number, FileHandle>;
  close(): Promise<void>;
}

/** In memory, on Linux: nothing of it is ever on a disk. */
const MEMORY = '/dev/shm';

/**
 * Puts each secret into a file without a name, open for reading. Not into a pipe: what Node makes are sockets, which cannot be opened as
 * `/dev/fd/3`, and a FIFO that was written to once cannot be either; servers read by number and by path alike. It goes when the last process
 * that holds it does. Until then a process of the same user can read it, as it can a variable; one of another user cannot.
 * @param folder private to the child, for where there is no file system in memory
 */
export async function openSecretDescriptors(
  secrets: Readonly<Record<string, Secret>>,
  folder: string,
): Promise<SecretDescriptors> {
  const handles = new Map<number, FileHandle>();
  const close = async (): Promise<void> => {
    await Promise.all([...handles.values()].map((handle) => handle.close().catch(() => {})));
  };
  try {
    for (const [number, secret] of Object.entries(secrets)) {
      handles.set(Number(number), await namelessFile(secret, MEMORY).catch(() => namelessFile(secret, folder)));
    }
    return { handles, close };
  } catch (error) {
    await close();
    throw unreachable(`A credential could not be put into a file descriptor (${codeOf(error)})`, {
      hint: 'See that there is room in /dev/shm and in the temporary folder.',
    });
  }
}

async function namelessFile(secret: Secret, folder: string): Promise<FileHandle> {
  const path = join(folder, `remit-${randomBytes(16).toString('hex')}`);
  const { O_RDWR, O_CREAT, O_EXCL, O_RDONLY, O_NOFOLLOW } = constants;
  const writer = await open(path, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW, 0o400);
  const bytes = secret.revealBytes();
  let reader: FileHandle | undefined;
  try {
    try {
      reader = await open(path, O_RDONLY | O_NOFOLLOW);
    } finally {
      await rm(path, { force: true });
    }
    await writer.writeFile(bytes);
    return reader;
  } catch (error) {
    await reader?.close();
    throw error;
  } finally {
    bytes.fill(0);
    await writer.close();
  }
}

const codeOf = (error: unknown): string =>
  error instanceof Error && 'code' in error ? String(error.code) : 'unknown fault';

/** `stdio` of a process with these at their numbers; what lies between is nothing. */
export function stdioWith(handles: ReadonlyMap<number, FileHandle>): ('pipe' | 'ignore' | number)[] {
  const last = Math.max(2, ...handles.keys());
  return Array.from({ length: last + 1 }, (_, number) => (number < 3 ? 'pipe' : (handles.get(number)?.fd ?? 'ignore')));
}
