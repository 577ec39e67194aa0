import { execFile } from 'node:child_process';
import { readFile } from 'node:fs/promises';

/**
 * Which process of this machine is a client's: a hook of it and an MCP server that it started know nothing of each other, but that both descend
 * from it.
 */

export interface Ancestor {
  readonly pid: number;
  /** Name of the program, without its folder. */
  readonly name: string;
}

/** Parent of a process, by the operating system; undefined when it is gone. */
export type ParentOf = (pid: number) => Promise<{ readonly parent: number; readonly name: string } | undefined>;

const MOST = 12;
/** What a client puts between itself and what it starts: no client itself. */
const WRAPPERS = /^-?(sh|bash|dash|zsh|fish|ksh|ash|busybox|env|timeout|nice|setsid|cmd\.exe|npm.*|npx.*)$/;

/** Parents of a process, nearest first. */
export async function ancestorsOf(pid: number, parentOf: ParentOf): Promise<Ancestor[]> {
  const found: Ancestor[] = [];
  let at = await parentOf(pid);
  while (at !== undefined && at.parent > 0 && found.length < MOST) {
    const next = await parentOf(at.parent);
    if (next === undefined) break;
    found.push({ pid: at.parent, name: next.name });
    at = next;
  }
  return found;
}

/** The client that started a process: its nearest ancestor that is no shell or other wrapper. */
export function clientAmong(ancestors: readonly Ancestor[]): Ancestor | undefined {
  return ancestors.find(({ name }) => !WRAPPERS.test(name));
}

/** Reads `/proc` where there is one, and asks `ps` elsewhere. */
export async function readParent(pid: number): ReturnType<ParentOf> {
  if (process.platform === 'linux') {
    const stat = await readFile(`/proc/${pid}/stat`, 'utf8').catch(() => undefined);
    // The name stands in brackets and may itself hold some (proc(5)).
    const close = stat?.lastIndexOf(')') ?? -1;
    if (stat === undefined || close === -1) return undefined;
    return {
      parent: Number(stat.slice(close + 2).split(' ')[1]),
      name: stat.slice(stat.indexOf('(') + 1, close),
    };
  }
  const line = await new Promise<string>((resolve) => {
    execFile('ps', ['-o', 'ppid=,comm=', '-p', String(pid)], { timeout: 1_000 }, (_error, stdout) => resolve(stdout));
  });
  const parts = /^\s*(\d+)\s+(.+?)\s*$/.exec(line);
  if (parts === null) return undefined;
  return { parent: Number(parts[1]), name: (parts[2] as string).split('/').at(-1) as string };
}
