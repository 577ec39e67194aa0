import { spawn, spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { installPackages } from '../harness/install.ts';
import type { PartResult, Setting } from './set-up.ts';

/** Without any policy, credential or record of their own. Exact versions, so that figures can be compared. */
export const OPPONENTS = { 'mcp-proxy': '6.7.19', supergateway: '4.0.0' } as const;

/**
 * Remit against what else brings a stdio server to HTTP, all in front of the same raw echo server. One of them listens on every interface:
 * so all run in a network namespace of their own (`unshare`), which has nothing but a loopback.
 */
export async function measureOpponents(setting: Setting): Promise<PartResult> {
  const none = (problem: string): PartResult => {
    const figure = `no opponents (${problem})`;
    setting.say(`\n${figure}`);
    return { figure, short: [] };
  };
  if (spawnSync('unshare', ['-rn', 'ip', 'link', 'set', 'lo', 'up']).status !== 0) {
    return none('unshare or ip is missing, or may not make a network namespace');
  }
  const modules = await installPackages('opponents', OPPONENTS).catch(() => undefined);
  if (modules === undefined) return none(`npm cannot fetch ${Object.keys(OPPONENTS).join(' and ')}`);
  const runner = fileURLToPath(new URL('run-opponents.js', import.meta.url));
  const script = 'ip link set lo up && exec "$@"';
  const args = ['-rn', 'sh', '-c', script, 'sh', process.execPath, runner, modules, setting.isQuick ? 'quick' : 'full'];
  const child = spawn('unshare', args, { stdio: ['ignore', 'pipe', 'inherit'] });
  let output = '';
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    output += text;
  });
  const code = await new Promise((resolve) => child.once('close', resolve));
  const lines = output.trim().split('\n');
  const figure = lines.pop() ?? '';
  setting.say(`\n${lines.join('\n')}`);
  if (code !== 0) throw new Error(`the run against the opponents ended with ${code}`);
  return { figure, short: [] };
}
