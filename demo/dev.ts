import { type ChildProcess, spawn } from 'node:child_process';
import { watch } from 'node:fs';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { buildEstate, USER } from './estate.ts';

/** `npm run dev`: the demo's estate, kept running, and a gateway before it that is rebuilt and restarted whenever a source changes. */

const PORT = Number(process.env.PORT ?? 7420);
const SETTLE_MS = 300;
const USER_TOKEN_MS = 10 * 60_000;

async function main(): Promise<void> {
  const estate = await buildEstate({ port: PORT });
  const tokenFile = join(estate.folder, 'alice.token');
  const signIn = async (): Promise<void> => writeFile(tokenFile, await estate.idp.signInAs(USER), { mode: 0o600 });
  await signIn();
  setInterval(() => void signIn(), USER_TOKEN_MS);

  const compiler = spawn(
    process.execPath,
    ['node_modules/typescript/bin/tsc', '-p', 'tsconfig.build.json', '--watch', '--preserveWatchOutput'],
    { stdio: 'inherit' },
  );
  let gateway = startGateway(estate.config);
  let isRestarting = false;
  let timer: NodeJS.Timeout | undefined;
  watch('dist/src', { recursive: true }, () => {
    clearTimeout(timer);
    timer = setTimeout(() => void restart(), SETTLE_MS);
  });

  async function restart(): Promise<void> {
    if (isRestarting) return;
    isRestarting = true;
    process.stdout.write('-- sources changed: restarting the gateway\n');
    await stop(gateway);
    gateway = startGateway(estate.config);
    isRestarting = false;
  }

  process.stdout.write(`
The demo estate is in ${estate.folder}. Try, from another terminal:
  npx remit connect --config ${estate.config} --agent shop-helper --user-token-file ${tokenFile}
  npx remit who-can --config ${estate.config}
  npx remit audit tail --follow --config ${estate.config}
  npx remit doctor --config ${estate.config}
Stop with Ctrl-C.
`);
  for (const signal of ['SIGINT', 'SIGTERM'] as const) {
    process.once(signal, () => {
      compiler.kill();
      void stop(gateway)
        .then(() => estate.close())
        .finally(() => process.exit(0));
    });
  }
}

function startGateway(config: string): ChildProcess {
  return spawn(process.execPath, ['bin/remit.js', 'up', '--config', config], {
    stdio: ['ignore', 'inherit', 'inherit'],
  });
}

async function stop(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const gone = new Promise((resolve) => child.once('close', resolve));
  child.kill('SIGTERM');
  await gone;
}

await main();
