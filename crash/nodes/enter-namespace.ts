import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { ADMIN_PATH } from './namespace.ts';

/** Set in the process that was started again. */
const ENTERED = 'REMIT_CRASH_ENTERED';

/** Whether this process is in a network namespace of its own, with the rights to make more. */
export function hasEntered(): boolean {
  return process.env[ENTERED] === '1';
}

/** Runs this program once more, with the same arguments, in a network namespace of its own, and ends with it. @returns its exit code, or why that cannot be */
export async function enterNamespace(): Promise<{ readonly code: number } | { readonly cannot: string }> {
  const way = findWay();
  if ('cannot' in way) return way;
  const child = spawn(way.command[0] as string, [...way.command.slice(1), process.execPath, ...process.argv.slice(1)], {
    // The channel tells it of our end, however that comes.
    stdio: ['inherit', 'inherit', 'inherit', 'ipc'],
    env: { ...process.env, PATH: ADMIN_PATH, [ENTERED]: '1' },
  });
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.on(signal, () => void child.kill(signal));
  const [code] = (await once(child, 'close')) as [number | null];
  return { code: code ?? 1 };
}

/** Of the process that was started again: it ends when the one that did is gone. */
export function endWithParent(): void {
  process.once('disconnect', () => process.exit(130));
  process.channel?.unref();
}

/**
 * Root goes into a network namespace as it is: PostgreSQL, which does not run as root, needs another user that exists. Everybody else becomes nobody else: the own user in a namespace of
 * users, with the rights that its maker has there.
 */
function findWay(): { readonly command: readonly string[] } | { readonly cannot: string } {
  for (const program of ['unshare', 'nsenter', 'ip', 'tc']) {
    const tried = spawnSync(program, [/^(ip|tc)$/.test(program) ? '-V' : '--version'], { env: { PATH: ADMIN_PATH } });
    if (tried.status !== 0) return { cannot: `there is no ${program} (Debian: util-linux, iproute2)` };
  }
  const isRoot = process.getuid?.() === 0;
  const users = isRoot ? [] : ['--user', '--map-current-user', '--keep-caps'];
  const command = ['unshare', ...users, '--net', '--'];
  const tried = spawnSync(command[0] as string, [...command.slice(1), 'unshare', '--net', '--', 'true'], {
    env: { PATH: ADMIN_PATH },
    encoding: 'utf8',
  });
  if (tried.status === 0) return { command };
  const why = tried.stderr.trim().split('\n').at(-1) ?? '';
  return { cannot: `${isRoot ? 'root without CAP_SYS_ADMIN' : 'no namespaces of users'} (${why})` };
}
