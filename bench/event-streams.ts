import { spawnSync } from 'node:child_process';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { unpackDebian } from '../harness/install.ts';
import { freePort } from '../harness/service.ts';
import { callWithProgress } from './call-with-progress.ts';
import { above } from './calls.ts';
import { median, type Target } from './load.ts';
import { MEASURED_CORE, startPinned } from './processes.ts';
import { type PartResult, type Setting, startBenchGateway } from './set-up.ts';

const EVENTS = 100;
const MOST_RATIO = 1.5;
/** Rounds before anything is counted: a hundred events a call are soon many, and the compiler takes its time. */
const WARM_UP = 2;

/** What an event costs: calls that send 100 progress notifications each, against nginx that passes them through unread. */
export async function measureEvents(setting: Setting): Promise<PartResult> {
  const calls = setting.isQuick ? 200 : 1_000;
  const rounds = setting.isQuick ? 2 : 10;
  const gateway = await startBenchGateway(setting);
  const remit: Target & { pid: number } = {
    name: 'Remit',
    origin: gateway.url,
    headers: await gateway.openTask(),
    tool: 'echo__echo',
    pid: gateway.pid,
  };
  const nginx = await startNginx(setting, gateway.folder);
  const used: { remit: number; nginx: number }[] = [];
  for (let round = -WARM_UP; round < rounds; round += 1) {
    const sample = { remit: await perEvent(remit, calls), nginx: nginx ? await perEvent(nginx, calls) : Number.NaN };
    if (round >= 0) used.push(sample);
  }
  const ours = median(used.map((sample) => sample.remit));
  if (nginx === undefined) {
    const figure = `an event ${ours.toFixed(1)} µs (nginx is missing)`;
    setting.say(`\n${figure}`);
    return { figure, short: [] };
  }
  const theirs = median(used.map((sample) => sample.nginx));
  const ratio = median(used.map((sample) => sample.remit / sample.nginx));
  const figure = `an event ${ours.toFixed(1)} µs, with nginx ${theirs.toFixed(1)} (${ratio.toFixed(2)}×)`;
  setting.say(`\n${figure}`);
  return { figure, short: above('an event against nginx', ratio, MOST_RATIO, '×') };
}

/** CPU microseconds per event of the process in the middle. */
async function perEvent(target: Target & { readonly pid: number }, calls: number): Promise<number> {
  const { usedUs } = await callWithProgress(target, { calls, events: EVENTS, mustArrive: true });
  return usedUs / (calls * EVENTS);
}

/** nginx of the machine, or Debian's unpacked into a cache folder; undefined when there is none to be had. */
async function startNginx(setting: Setting, folder: string): Promise<(Target & { pid: number }) | undefined> {
  const program = await findNginx();
  if (program === undefined) return undefined;
  const port = await freePort();
  mkdirSync(join(folder, 'nginx'), { recursive: true });
  const config = join(folder, 'nginx', 'nginx.conf');
  writeFileSync(
    config,
    `daemon off; master_process off; pid ${folder}/nginx/pid; error_log stderr crit;
events { worker_connections 1024; }
http {
  access_log off;
  ${['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'].map((name) => `${name}_temp_path ${folder}/nginx/${name};`).join(' ')}
  upstream echo { server ${new URL(setting.backendOrigin).host}; keepalive 64; }
  server {
    listen 127.0.0.1:${port};
    keepalive_requests 1000000;
    location / {
      proxy_pass http://echo; proxy_http_version 1.1; proxy_set_header Connection ""; proxy_buffering off;
      proxy_set_header Authorization "Bearer ${setting.token}";
    }
  }
}
`,
  );
  const nginx = startPinned([program, '-p', join(folder, 'nginx'), '-c', config], { core: MEASURED_CORE });
  setting.closers.push(() => nginx.stop());
  const target = { name: 'nginx', origin: `http://127.0.0.1:${port}`, headers: {}, tool: 'echo', pid: nginx.pid };
  for (let attempt = 0; attempt < 50; attempt += 1) {
    if (
      await perEvent(target, 1).then(
        () => true,
        () => false,
      )
    )
      return target;
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
  return undefined;
}

async function findNginx(): Promise<string | undefined> {
  const runs = (program: string): boolean => spawnSync(program, ['-v']).status === 0;
  if (runs('nginx')) return 'nginx';
  const unpacked = await unpackDebian('nginx', ['nginx']).then(
    (root) => join(root, 'usr/sbin/nginx'),
    () => undefined,
  );
  return unpacked !== undefined && runs(unpacked) ? unpacked : undefined;
}
