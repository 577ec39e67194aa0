import { createHash } from 'node:crypto';
import { readdir, readFile, readlink, realpath, stat } from 'node:fs/promises';
import { basename, dirname, isAbsolute, join, resolve } from 'node:path';
import { isJsonObject } from '../../domain/json.ts';
import { programName, scriptOf } from './stdio-command.ts';

/** The npm package that a running program comes from, as far as `/proc` and the files tell. */
export interface RunningPackage {
  readonly name: string;
  readonly version: string;
  /** Folder of its `package.json`. */
  readonly path: string;
  /** SHA-256, hex, of `package.json` and the program's own file, one after the other. Not of the files that those load. */
  readonly digest: string;
}

/** What only starts something else; the program comes behind it. */
const STARTERS = new Set([
  'setpriv',
  'unshare',
  'bwrap',
  'env',
  'nice',
  'nohup',
  'setsid',
  'timeout',
  'stdbuf',
  'tini',
]);
const STARTER_PACKAGES = new Set(['npm', 'npx', 'pnpm', 'yarn', 'corepack', 'bun', 'tsx', 'ts-node', 'node']);
const MOST_PROCESSES = 64;
const MOST_MANIFEST_BYTES = 1024 * 1024;
const MOST_PROGRAM_BYTES = 16 * 1024 * 1024;

/**
 * Looks through a process and its descendants for the first program that belongs to a package: with `npx` that is a few processes further
 * down. Best effort, and never throws: a program can call itself what it likes.
 */
export async function findRunningPackage(pid: number): Promise<RunningPackage | undefined> {
  const children = await readChildren();
  const waiting = [pid];
  for (let at = 0; at < waiting.length && at < MOST_PROCESSES; at += 1) {
    const one = waiting[at] as number;
    const found = await packageOfProcess(one).catch(() => undefined);
    if (found !== undefined) return found;
    waiting.push(...(children.get(one) ?? []));
  }
  return undefined;
}

async function packageOfProcess(pid: number): Promise<RunningPackage | undefined> {
  const command = (await readFile(`/proc/${pid}/cmdline`, 'utf8')).split('\0').slice(0, -1);
  const program = command[0] ?? '';
  const script = scriptOf(command);
  if (script === undefined && (STARTERS.has(programName(program)) || program === '')) return undefined;
  const file = script ?? (await readlink(`/proc/${pid}/exe`));
  const folder = isAbsolute(file) ? '/' : await readlink(`/proc/${pid}/cwd`);
  return await packageOfFile(await realpath(resolve(folder, file)));
}

/** @param file absolute, without links */
export async function packageOfFile(file: string): Promise<RunningPackage | undefined> {
  for (let folder = dirname(file); ; folder = dirname(folder)) {
    if (basename(folder) === 'node_modules') return undefined;
    const manifest = await readBounded(join(folder, 'package.json'), MOST_MANIFEST_BYTES);
    const named = manifest === undefined ? undefined : namesOf(manifest);
    if (manifest !== undefined && named !== undefined) {
      const program = STARTER_PACKAGES.has(named.name) ? undefined : await readBounded(file, MOST_PROGRAM_BYTES);
      if (program === undefined) return undefined;
      return { ...named, path: folder, digest: createHash('sha256').update(manifest).update(program).digest('hex') };
    }
    if (folder === dirname(folder)) return undefined;
  }
}

/** Manifests without name and version (`{"type":"module"}`) mark folders within a package. */
function namesOf(manifest: Buffer): { name: string; version: string } | undefined {
  try {
    const value: unknown = JSON.parse(manifest.toString('utf8'));
    if (!isJsonObject(value)) return undefined;
    const { name, version } = value;
    const isText = (text: unknown): text is string => typeof text === 'string' && text !== '' && text.length <= 256;
    return isText(name) && isText(version) ? { name, version } : undefined;
  } catch {
    return undefined;
  }
}

async function readBounded(path: string, maxBytes: number): Promise<Buffer | undefined> {
  try {
    // Looked at before it is opened: opening a pipe would wait for somebody to write to it.
    const found = await stat(path);
    return found.isFile() && found.size <= maxBytes ? await readFile(path) : undefined;
  } catch {
    return undefined;
  }
}

/** Children of each process, by its id. */
async function readChildren(): Promise<Map<number, number[]>> {
  const children = new Map<number, number[]>();
  const names = await readdir('/proc').catch(() => []);
  await Promise.all(
    names
      .filter((name) => /^\d+$/.test(name))
      .map(async (name) => {
        const text = await readFile(`/proc/${name}/stat`, 'latin1').catch(() => '');
        const [, parent] = text.slice(text.lastIndexOf(')') + 2).split(' ');
        const list = children.get(Number(parent));
        if (list === undefined) children.set(Number(parent), [Number(name)]);
        else list.push(Number(name));
      }),
  );
  return children;
}
