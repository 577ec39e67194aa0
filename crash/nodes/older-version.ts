import { cp, mkdir, mkdtemp, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { CACHE, exists, run } from '../../harness/install.ts';
import { MIGRATIONS } from '../../src/adapters/store/migrations.ts';

const FILE = 'src/adapters/store/migrations.ts';
/** Several versions may have had as many. */
const LOOKED_AT = 200;

/** Remit as it was before the newest change of its tables, built from this checkout's history. */
export interface OlderVersion {
  readonly commit: string;
  /** The schema that it knows. */
  readonly schema: number;
  /** Its `remit`. */
  readonly program: string;
}

/** @throws in a checkout without its history: nothing is older there */
export async function buildOlderVersion(): Promise<OlderVersion> {
  const { commit, schema } = await findOlder();
  const folder = join(CACHE, `older-${commit.slice(0, 12)}`);
  const program = join(folder, 'bin', 'remit.js');
  if (await exists(join(folder, 'built'))) return { commit, schema, program };
  // Not built below a folder called node_modules: the compiler takes what is there to be others' code.
  const build = await mkdtemp(join(tmpdir(), 'remit-older-'));
  try {
    const archive = join(build, 'older.tar');
    await run('git', ['archive', '--output', archive, commit], { timeoutMs: 60_000 });
    await run('tar', ['-xf', archive, '-C', build], { timeoutMs: 60_000 });
    await symlink(resolve('node_modules'), join(build, 'node_modules'));
    const compiler = resolve('node_modules/typescript/bin/tsc');
    await run(process.execPath, [compiler, '-p', 'tsconfig.build.json'], { cwd: build, timeoutMs: 300_000 });
    await rm(folder, { recursive: true, force: true });
    await mkdir(folder, { recursive: true });
    for (const part of ['bin', 'dist', 'schema', 'package.json']) {
      await cp(join(build, part), join(folder, part), { recursive: true });
    }
    await symlink(resolve('node_modules'), join(folder, 'node_modules'));
    await writeFile(join(folder, 'built'), '');
  } finally {
    await rm(build, { recursive: true, force: true });
  }
  return { commit, schema, program };
}

async function findOlder(): Promise<{ commit: string; schema: number }> {
  const { stdout, code } = await run('git', ['log', '--format=%H', '-n', String(LOOKED_AT), '--', FILE], {
    timeoutMs: 30_000,
    anyCode: true,
  });
  for (const changed of code === 0 ? stdout.split('\n').filter(Boolean) : []) {
    const before = await run('git', ['show', `${changed}^:${FILE}`], { timeoutMs: 30_000, anyCode: true });
    if (before.code !== 0) break;
    const schema = countMigrations(before.stdout);
    if (schema >= MIGRATIONS.length) continue;
    const { stdout: commit } = await run('git', ['rev-parse', `${changed}^`], { timeoutMs: 30_000 });
    return { commit: commit.trim(), schema };
  }
  throw new Error(
    'no version with older tables in this checkout: its history is needed (git clone without --depth), or --nodes without --upgrade',
  );
}

const countMigrations = (source: string): number =>
  (/MIGRATIONS: readonly Migration\[\] = \[([^\]]*)\]/.exec(source)?.[1] ?? '').match(/\w+,/g)?.length ?? 0;
