import { appendFile, cp, mkdtemp, rm, symlink } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';

/** Tables that calls read and write. */
const BUSY_TABLES = ['tasks', 'leases', 'task_places', 'nodes', 'revocations', 'trail_heads'];

/**
 * fake-newer-version: this version as built, with one change of the tables more, a column for each that calls use, after which older ones may go on.
 * Listed in docs/fakes.md.
 */
export async function makeFakeNewerVersion(): Promise<{ readonly program: string; remove(): Promise<void> }> {
  const folder = await mkdtemp(join(tmpdir(), 'remit-newer-'));
  for (const part of ['bin', 'dist', 'schema', 'package.json']) await cp(part, join(folder, part), { recursive: true });
  await symlink(resolve('node_modules'), join(folder, 'node_modules'));
  await appendFile(
    join(folder, 'dist', 'src', 'adapters', 'store', 'migrations.js'),
    `
async function addHarnessColumns(db) {
  for (const table of ${JSON.stringify(BUSY_TABLES)}) await db.schema.alterTable(table).addColumn('harness', 'text').execute();
}
MIGRATIONS.push(addHarnessColumns);
OLDER_GO_ON.add(addHarnessColumns);
`,
  );
  return { program: join(folder, 'bin', 'remit.js'), remove: () => rm(folder, { recursive: true, force: true }) };
}
