import { spawn } from 'node:child_process';
import { type ContainmentPlan, findProgram } from './probe-containment.ts';
import { BASE_FLAGS } from './sandbox-command.ts';

/** What this host has for sandboxes. */
export type SandboxSupport =
  | { readonly isUsable: true; readonly program: string; readonly version: string }
  | { readonly isUsable: false; readonly reason: string };

const PROBE_TIMEOUT_MS = 3_000;

/**
 * Finds bubblewrap and tries it, behind the containment that it will run in. Takes some milliseconds, a few seconds at worst; never throws.
 * @param path folders to look for `bwrap` in, as in `PATH`
 */
export async function probeSandbox(path: string, plan: ContainmentPlan): Promise<SandboxSupport> {
  if (process.platform !== 'linux') return { isUsable: false, reason: 'bubblewrap needs Linux' };
  const program = await findProgram('bwrap', path);
  if (program === undefined) return { isUsable: false, reason: 'bwrap is not installed' };
  const version = await run([program, '--version']);
  if (version.code !== 0) return { isUsable: false, reason: `${program} does not run` };
  const tried = await run([...plan.prefix, program, ...BASE_FLAGS, '--ro-bind', '/', '/', '--proc', '/proc', 'true']);
  if (tried.code !== 0) {
    const said = tried.said.replace(/\s+/g, ' ').trim().slice(0, 200);
    return { isUsable: false, reason: `${program} cannot make a sandbox here${said === '' ? '' : `: ${said}`}` };
  }
  return { isUsable: true, program, version: version.said.replace(/^bubblewrap\s+/, '').trim() };
}

function run(command: readonly string[]): Promise<{ code: number | null; said: string }> {
  const [program = '', ...args] = command;
  return new Promise((resolve) => {
    // A probe that hangs is killed, and has failed.
    const limits = { timeout: PROBE_TIMEOUT_MS, killSignal: 'SIGKILL' } as const;
    const env = { PATH: '/usr/local/bin:/usr/bin:/bin' };
    const child = spawn(program, args, { ...limits, detached: true, env, stdio: ['ignore', 'pipe', 'pipe'] });
    let said = '';
    for (const stream of [child.stdout, child.stderr])
      stream.setEncoding('utf8').on('data', (text: string) => {
        said = (said + text).slice(0, 4_096);
      });
    child.once('error', () => resolve({ code: null, said }));
    child.once('close', (code) => resolve({ code, said }));
  });
}
