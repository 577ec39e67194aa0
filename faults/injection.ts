import { access, constants } from 'node:fs/promises';
import { delimiter, join } from 'node:path';
import { unpackDebian } from '../harness/install.ts';

/** Makes system calls of a process fail, by `strace`: which, on which file, how, and from which time on (counted for each thread). */
export interface Injection {
  readonly call: string;
  /** Path, or the ends of it within the data folder. */
  readonly file: string;
  /** As in `-e inject=CALL:…`, for example `error=EIO:when=3+`. */
  readonly how: string;
}

/** Arguments that go in front of a command. */
export function straceArguments(
  strace: string,
  data: string,
  { call, file, how }: Injection,
  output: string,
): string[] {
  const only = ['-P', join(data, file), '-e', `trace=${call}`, '-e', `inject=${call}:${how}`];
  // Stops at these calls alone, and so costs little; a signal is not delivered that way.
  const fast = how.includes('signal=') ? [] : ['--seccomp-bpf'];
  return [strace, '-f', ...fast, '-qq', '-o', output, ...only];
}

/** From the PATH, or unpacked from Debian. @throws where it can be had neither way */
export async function findStrace(): Promise<string> {
  return (await onPath('strace')) ?? join(await unpackDebian('strace', ['strace']), 'usr/bin/strace');
}

/** The library that moves a process's wall clock and leaves the monotonic one. @throws where it cannot be had */
export async function findFaketime(): Promise<string> {
  const root = await unpackDebian('faketime', ['libfaketime']);
  for (const machine of ['x86_64', 'aarch64']) {
    const path = join(root, `usr/lib/${machine}-linux-gnu/faketime/libfaketime.so.1`);
    if (await isThere(path)) return path;
  }
  throw new Error('libfaketime is in none of the places where Debian puts it');
}

async function onPath(program: string): Promise<string | undefined> {
  for (const folder of (process.env.PATH ?? '').split(delimiter)) {
    if (await isThere(join(folder, program))) return join(folder, program);
  }
  return undefined;
}

const isThere = (path: string): Promise<boolean> =>
  access(path, constants.R_OK).then(
    () => true,
    () => false,
  );
