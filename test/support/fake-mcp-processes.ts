import { readdirSync, readFileSync } from 'node:fs';

/** Live processes with `text` in their command line or environment, as `/proc` tells. */
export function processesWith(where: 'cmdline' | 'environ', text: string): number[] {
  const found: number[] = [];
  for (const name of readdirSync('/proc')) {
    const pid = Number(name);
    if (!Number.isInteger(pid) || pid === process.pid) continue;
    try {
      // A zombie has no command line and no environment left, so it is not found.
      if (readFileSync(`/proc/${name}/${where}`, 'latin1').includes(text)) found.push(pid);
    } catch {
      // gone meanwhile
    }
  }
  return found;
}

/** Whether a process runs; one that is dead but not yet reaped does not. */
export function isAlive(pid: number): boolean {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, 'latin1') !== '';
  } catch {
    return false;
  }
}

/** Live children of a process whose command line holds `text`. */
export function childrenWith(parent: number | undefined, text: string): number[] {
  return processesWith('cmdline', text).filter((pid) => {
    try {
      return new RegExp(`^PPid:\\t${parent}$`, 'm').test(readFileSync(`/proc/${pid}/status`, 'latin1'));
    } catch {
      return false;
    }
  });
}
