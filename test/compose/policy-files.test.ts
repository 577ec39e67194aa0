import { mkdir, rename, rm, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterEach, expect, it } from 'vitest';
import {
  folderVersion,
  listPolicyFiles,
  makePolicySet,
  readPolicies,
  readPolicyTexts,
} from '../../src/compose/policies/policies.ts';
import { makePolicyFolder, type PolicyFolder, testEstate } from './policy-folder.ts';

const OPEN = '@id("open")\npermit (principal, action, resource);\n';
const CLOSED = '@id("closed")\nforbid (principal, action, resource);\n';

let place: PolicyFolder | undefined;
afterEach(() => place?.remove());

/** As the kubelet writes a ConfigMap (its AtomicWriter): files in a folder of their own, and a link that is replaced. */
async function mount(folder: string, time: string, files: Readonly<Record<string, string>>): Promise<void> {
  await mkdir(join(folder, time));
  for (const [name, text] of Object.entries(files)) {
    await writeFile(join(folder, time, name), text);
    await symlink(join('..data', name), join(folder, name)).catch(() => {});
  }
  await symlink(time, join(folder, '..data_tmp'));
  await rename(join(folder, '..data_tmp'), join(folder, '..data'));
}

it('of a mounted ConfigMap each file counts once, and what replaces it is seen', async () => {
  place = await makePolicyFolder({});
  const { folder } = place;
  await mount(folder, '..2026_11_28_19_00_00.1', { 'all.cedar': OPEN, 'none.cedar': '' });
  expect((await makePolicySet(await readPolicyTexts(folder), testEstate())).files.map(({ file }) => file)).toEqual([
    'all.cedar',
    'none.cedar',
  ]);
  const before = await folderVersion(folder, testEstate());
  await mount(folder, '..2026_11_28_20_00_00.2', { 'all.cedar': CLOSED, 'none.cedar': '' });
  await rm(join(folder, '..2026_11_28_19_00_00.1'), { recursive: true });
  expect(await folderVersion(folder, testEstate())).not.toBe(before);
});

it('a policy without an id is named after its file below the folder, wherever that lies: the version is the same at every host', async () => {
  const bare = 'permit (principal, action, resource);\n';
  place = await makePolicyFolder({ 'all.cedar': bare });
  const below = join(place.folder, 'elsewhere');
  await mkdir(below);
  await writeFile(join(below, 'all.cedar'), bare);
  expect((await readPolicies(below, testEstate())).policies.map(({ id }) => id)).toEqual(['all.cedar#1']);
  const version = await folderVersion(below, testEstate());
  await rm(join(place.folder, 'elsewhere'), { recursive: true });
  expect(await folderVersion(place.folder, testEstate())).toBe(version);
});

it('of any other folder every file counts, whatever its name', async () => {
  place = await makePolicyFolder({ 'all.cedar': OPEN, '..more.cedar': CLOSED });
  await mkdir(join(place.folder, '..below'));
  await place.write(join('..below', 'shut.cedar'), CLOSED.replace('closed', 'shut'));
  expect(await listPolicyFiles(place.folder)).toEqual(['..below/shut.cedar', '..more.cedar', 'all.cedar']);
  await place.write('..data', '');
  expect(await listPolicyFiles(place.folder)).toEqual(['..more.cedar', 'all.cedar']);
});
