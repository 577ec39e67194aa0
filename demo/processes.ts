import { readdirSync, readFileSync } from 'node:fs';

/** Command line of every process, by pid. What any user of the machine may read. */
export function commandLines(): Map<number, string> {
  const lines = new Map<number, string>();
  for (const name of readdirSync('/proc')) {
    if (!/^\d+$/.test(name)) continue;
    try {
      lines.set(Number(name), readFileSync(`/proc/${name}/cmdline`, 'latin1').replaceAll('\0', ' '));
    } catch {
      // It ended while we looked.
    }
  }
  return lines;
}

/** One variable of a process's environment; undefined when it has none or may not be read. */
export function environmentOf(pid: number, variable: string): string | undefined {
  try {
    const entry = readFileSync(`/proc/${pid}/environ`, 'utf8')
      .split('\0')
      .find((line) => line.startsWith(`${variable}=`));
    return entry?.slice(variable.length + 1);
  } catch {
    return undefined;
  }
}

export function isAlive(pid: number): boolean {
  try {
    // A zombie has an empty command line: it only waits to be reaped.
    return readFileSync(`/proc/${pid}/cmdline`, 'latin1') !== '';
  } catch {
    return false;
  }
}
